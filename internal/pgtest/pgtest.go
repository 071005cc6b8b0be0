package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/server"
)

// dropTime is for DROP DATABASE, which waits for a checkpoint.
const dropTime = time.Minute

// New returns a pool on a fresh database. At the end of the test it is closed
// and the database dropped. Params are added to the DSN
// ("application_name=loader").
func New(t testing.TB, params ...string) *sqlx.DB {
	t.Helper()
	return Open(t, DSN(t, params...))
}

// DSN returns the DSN of a fresh database, for another process or for several
// pools. At the end of the test the database is dropped, with the connections
// to it.
func DSN(t testing.TB, params ...string) string {
	t.Helper()
	srv := Server(t)
	name := create(t, srv)
	t.Cleanup(func() { drop(t, srv, name) })
	return srv.DSN(name, params...)
}

// Copy makes a copy of a database, to which nobody may be connected, for this test, and returns its DSN.
func Copy(t testing.TB, database string, params ...string) string {
	t.Helper()
	return CopyOn(t, Server(t), database, params...)
}

// CopyOn is Copy on a server of the test's own. A copy of template0 is a fresh database.
func CopyOn(t testing.TB, srv *server.Server, database string, params ...string) string {
	t.Helper()
	name := createFrom(t, srv, database)
	t.Cleanup(func() { drop(t, srv, name) })
	return srv.DSN(name, params...)
}

// Open returns a pool on the database at dsn that is closed at the end of the
// test.
func Open(t testing.TB, dsn string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.ConnectContext(t.Context(), "postgres", dsn)
	if err != nil {
		t.Fatalf("pgtest: open %s: %v", dsn, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("pgtest: close: %v", err)
		}
	})
	return db
}

// create makes a database. The process id says whose it is if it stays.
func create(t testing.TB, srv *server.Server) string {
	t.Helper()
	// From template0, because nobody can be connected to it: with template1 a
	// session of another process would be in the way.
	return createFrom(t, srv, "template0")
}

func createFrom(t testing.TB, srv *server.Server, template string) string {
	t.Helper()
	name := fmt.Sprintf("tandem_%d_%s", os.Getpid(), strings.ToLower(rand.Text()[:10]))
	if err := admin(t.Context(), srv, `CREATE DATABASE `+pq.QuoteIdentifier(name)+` TEMPLATE `+pq.QuoteIdentifier(template)); err != nil {
		t.Fatalf("pgtest: create database: %v", err)
	}
	return name
}

// drop removes a database, on a server that the test may have killed as well.
func drop(t testing.TB, srv *server.Server, name string) {
	t.Helper()
	// The test's own context has ended when its cleanup runs.
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	if err := admin(ctx, srv, `DROP DATABASE `+pq.QuoteIdentifier(name)+` WITH (FORCE)`); err != nil {
		t.Errorf("pgtest: drop database %s: %v (a slot or prepared transaction of the test may hold it)", name, err)
	}
}

// admin runs one statement outside the test's database. It has a connection of
// its own, so that no idle one is left for a restarted server to break.
func admin(ctx context.Context, srv *server.Server, statement string) error {
	db, err := sqlx.ConnectContext(ctx, "postgres", srv.DSN("", "application_name=pgtest"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statement)
	return err
}
