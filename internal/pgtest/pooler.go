package pgtest

import (
	"errors"
	"os"
	"testing"

	"github.com/tandem-go/tandem/internal/server"
)

// Pooler starts a PgBouncer in front of the server for this test, in a mode (transaction or session) and with so many sessions a database. Without PgBouncer the test is
// skipped, or fails if CI=true. Ask for the database first: what is closed last must be made first.
func Pooler(t testing.TB, mode string, size int) *server.Server {
	t.Helper()
	p, err := Server(t).Pool(t.Context(), mode, size)
	if errors.Is(err, server.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skipf("pgtest: %v", err)
	}
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("pgtest: close pgbouncer: %v", err)
		}
	})
	return p
}
