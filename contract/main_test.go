package contract_test

import (
	"flag"
	"testing"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) {
	// The same values every time, unless -rapid.seed asks for others: what is new to a run is to be the code.
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	pgtest.MainWithExamples(m)
}
