package expandtest_test

import (
	"testing"

	"github.com/jmoiron/sqlx"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/expand/expandtest"
)

// The test of an application's own pair; t and db are the test's.
func ExampleCheck() {
	price := expand.Convert(expand.Spec[float64, int64]{Table: "items", Old: "price", New: "price_cents", Type: "bigint",
		Forward:    func(p float64) (int64, error) { return int64(p * 100), nil },
		ForwardSQL: "trunc({price} * 100)"})
	_ = func(t *testing.T, db *sqlx.DB) {
		t.Helper()
		expandtest.Check(t, db, price, rapid.Float64Range(-1e6, 1e6))
	}
}
