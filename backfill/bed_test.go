package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/switchover"
)

// fullName converts inside the server, shout only in Go, cents only in Go and not every value.
var (
	fullName = expand.Rename[string]("users", "user_name", "full_name")
	shout    = goOnly(func(s string) (string, error) { return strings.ToUpper(s), nil })
	cents    = expand.Convert(expand.Spec[string, int64]{Table: "users", Old: "user_name", New: "cents", Type: "bigint",
		Forward:  func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) },
		Backward: func(n int64) (string, error) { return strconv.FormatInt(n, 10), nil }})
)

// goOnly is the pair of users with another forward than a copy.
func goOnly(forward func(string) (string, error)) *expand.Pair[string, string] {
	return expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: forward,
		Backward: func(s string) (string, error) { return strings.ToLower(s), nil }})
}

type user struct {
	ID       int64  `db:"id"`
	FullName string `db:"full_name"`
}

// usersSQL makes rows with the names 'name 1' and so on.
func usersSQL(rows int) string {
	return fmt.Sprintf(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text);
		INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, %d) i`, rows)
}

// numbersSQL is usersSQL with names that are numbers.
func numbersSQL(rows int) string {
	return strings.ReplaceAll(usersSQL(rows), "'name ' || i", "i * 100")
}

// bed is a database with one table and one pair, in Migrate.
type bed struct {
	*testing.T
	ctx  context.Context
	dsn  string
	db   *sqlx.DB
	pair expand.Any
}

func newBed(t *testing.T, create string, p expand.Any) *bed {
	t.Helper()
	return newBedOn(t, pgtest.Server(t), create, p)
}

// alone is a server for one test. What another one writes, in whatever database, keeps pages from being pruned while it is not committed.
func alone(t *testing.T) *server.Server {
	t.Helper()
	srv, err := server.Start(t.Context(), server.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

func newBedOn(t *testing.T, srv *server.Server, create string, p expand.Any) *bed {
	t.Helper()
	b := &bed{T: t, ctx: t.Context(), dsn: pgtest.CopyOn(t, srv, "template0"), pair: p}
	b.db = pgtest.Open(t, b.dsn)
	b.exec(create)
	b.migrate(p)
	return b
}

// migrate brings a pair to Migrate.
func (b *bed) migrate(p expand.Any) {
	b.Helper()
	require.NoError(b, expand.Apply(b.ctx, b.db, p, expand.Options{}))
	b.advance(p, switchover.Expand)
	b.advance(p, switchover.Migrate)
}

func (b *bed) advance(p expand.Any, to switchover.Phase) {
	b.Helper()
	require.NoError(b, switchover.Advance(b.ctx, b.db, p.Name(), to, switchover.Options{Quiet: switchover.None, Soak: switchover.None}))
}

func (b *bed) exec(query string, args ...any) {
	b.Helper()
	_, err := b.db.ExecContext(b.ctx, query, args...)
	require.NoError(b, err, query)
}

// number is the one number that a query returns.
func (b *bed) number(query string, args ...any) (n int) {
	b.Helper()
	require.NoError(b, b.db.GetContext(b.ctx, &n, query, args...), query)
	return n
}

func (b *bed) texts(query string, args ...any) []string {
	b.Helper()
	out := []string{}
	require.NoError(b, b.db.SelectContext(b.ctx, &out, query, args...), query)
	return out
}

// run is a Run in small windows that must succeed.
func (b *bed) run() backfill.Result {
	b.Helper()
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9})
	require.NoError(b, err)
	return res
}

// join makes a repository of users for the pair.
func (b *bed) join() (*switchover.Member, *expand.Repository[user]) {
	b.Helper()
	m, err := switchover.Join(b.ctx, b.db, switchover.JoinOptions{Service: "test", Poll: 20e6})
	require.NoError(b, err)
	b.Cleanup(func() { _ = m.Leave(context.WithoutCancel(b.ctx)) })
	r, err := expand.NewRepository[user](b.db, m, b.pair)
	require.NoError(b, err)
	return m, r
}

// verified runs Verify and wants no difference.
func (b *bed) verified(rows int) {
	b.Helper()
	report, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{Batch: 100, Target: 10e9})
	require.NoError(b, err)
	require.Equal(b, backfill.Report{Rows: int64(rows)}, report)
}

const (
	unstamped = `SELECT count(*) FROM users WHERE full_name_stamp IS NULL`
	stamped   = `SELECT count(full_name_stamp) FROM users`
	badKeys   = `SELECT array_to_string(key, ',') FROM tandem.bad_row ORDER BY 1`
)

var errOdd = errors.New("odd value")

// requireReport compares what Verify has found: it lists the rows of a window in the order that they are read in.
func requireReport(t *testing.T, want, have backfill.Report) {
	t.Helper()
	require.ElementsMatch(t, want.Keys, have.Keys)
	want.Keys, have.Keys = nil, nil
	require.Equal(t, want, have)
}
