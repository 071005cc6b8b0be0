package crash_test

import (
	"os"
	"testing"

	_ "github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(dsnVariable); dsn != "" {
		os.Exit(child(dsn))
	}
	pgtest.Main(m)
}
