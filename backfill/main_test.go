package backfill_test

import (
	"os"
	"testing"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		os.Exit(child(dsn))
	}
	pgtest.MainWithExamples(m)
}
