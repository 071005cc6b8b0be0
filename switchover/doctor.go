package switchover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// ErrMixedUp says that a pooler can run another client's statement in place of ours, with our arguments.
var ErrMixedUp = errors.New("the pooler mixes up statements: add binary_parameters=yes to the DSN (pgx: default_query_exec_mode=exec), or pool by session")

// Finding is one thing that Doctor holds against a connection.
type Finding struct {
	Name  string // short and stable: mix-up
	What  string
	Where string
	Harm  string // why it hurts
	Cure  string // what to do
	Err   error  // Join refuses with it; nil: Join goes on
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s, %s; %s: %s", f.Name, f.Where, f.What, f.Harm, f.Cure)
}

// Doctor looks for what makes a connection unfit for the library, by watching what the server answers, not by reading the DSN. It changes nothing, and takes some
// twenty short queries on two connections of the pool; of a pool of one connection it sees less. No findings: nothing was seen. Errors: those of the connection.
func Doctor(ctx context.Context, db *sqlx.DB) ([]Finding, error) {
	split := false
	shared, err := sharesSessions(ctx, db)
	if preparedElsewhere(err) {
		split, err = true, nil
	} else if err == nil && shared { // a session of our own is there at Bind as it was at Parse
		split, err = splitsStatements(ctx, db)
	}
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", pg.Cause(ctx, err))
	}
	if !split {
		return nil, nil
	}
	return []Finding{{
		Name:  "mix-up",
		What:  "the driver sends a statement with arguments in two halves, and a pooler may give each of them to another session",
		Where: "outside transactions, behind a pooler in transaction mode",
		Harm:  "the second half runs whatever statement another client has left there, without an error",
		Cure:  "add binary_parameters=yes to the DSN of lib/pq, or default_query_exec_mode=exec to that of pgx, which then send both in one, or let the pooler pool by session",
		Err:   ErrMixedUp,
	}}, nil
}

// examine is Doctor for Join.
func examine(ctx context.Context, db *sqlx.DB) error {
	findings, err := Doctor(ctx, db)
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f, f.Err))
		}
	}
	return err
}

const (
	// doctorRounds: an idle pooler is found in the first. A busy one of two sessions gives each of two connections the same one, and never the other's,
	// in 1 of 2 to the power of the rounds.
	doctorRounds = 6
	// secondTime is for the second connection, which a busy pool may not have.
	secondTime = time.Second
)

// The time of the start tells the servers behind one address apart, whose process ids can be the same.
const sessionSQL = `SELECT pg_backend_pid()::text || ' ' || extract(epoch FROM pg_postmaster_start_time())::text`

// sharesSessions tells whether a connection is not a session: whether one of two connections saw two sessions, or both saw the same. The second looks from inside a
// transaction, so that the first cannot be in that session when it looks again. The queries have no arguments, so lib/pq mixes nothing up.
func sharesSessions(ctx context.Context, db *sqlx.DB) (bool, error) {
	first, err := db.Connx(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = first.Close() }()
	second, err := another(ctx, db)
	if err != nil {
		return false, err
	}
	if second != nil {
		defer func() { _ = second.Close() }()
	}
	owners := map[string]*sqlx.Conn{}
	sessions := map[*sqlx.Conn]string{}
	shared := func(c *sqlx.Conn, session string) bool {
		owner, seen := owners[session]
		before, looked := sessions[c]
		owners[session], sessions[c] = c, session
		return seen && owner != c || looked && before != session
	}
	for range doctorRounds {
		session, err := sessionOf(ctx, first)
		if err != nil || shared(first, session) {
			return err == nil, err
		}
		if second == nil {
			continue
		}
		found, err := besides(ctx, first, second, shared)
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// besides looks from inside a transaction of second, and once more from first if that has another session: it would wait for ever for the one of a pool of one.
func besides(ctx context.Context, first, second *sqlx.Conn, shared func(*sqlx.Conn, string) bool) (bool, error) {
	tx, err := second.BeginTxx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }()
	session, err := sessionOf(ctx, tx)
	if err != nil || shared(second, session) {
		return err == nil, err
	}
	session, err = sessionOf(ctx, first)
	return err == nil && shared(first, session), err
}

// another is a second connection, or nil if the pool has none to spare.
func another(ctx context.Context, db *sqlx.DB) (*sqlx.Conn, error) {
	if db.Stats().MaxOpenConnections == 1 {
		return nil, nil
	}
	short, cancel := context.WithTimeout(ctx, secondTime)
	defer cancel()
	c, err := db.Connx(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return nil, nil
	}
	return c, err
}

func sessionOf(ctx context.Context, q sqlx.QueryerContext) (session string, err error) {
	err = sqlx.GetContext(ctx, q, &session, sessionSQL)
	return session, err
}

const (
	// splitArgs is a number of arguments that hardly another statement has, so that the probe, if it is mixed up itself, is refused instead of running that one.
	splitArgs = 101
	// splitTries: a change of the catalog between the halves makes the server parse anew at Bind, once.
	splitTries = 3
)

// SQLSTATEs of a Bind that found another statement, or none, and of a Parse that found its name taken: pgx gives a statement the same name in all of its
// connections, without arguments too.
const (
	protocolViolation = "08P01"
	noStatement       = "26000"
	nameTaken         = "42P05"
)

// preparedElsewhere tells whether a query failed because the driver had prepared it in another session than it takes the connection for.
func preparedElsewhere(err error) bool {
	state := pg.SQLState(err)
	return state == noStatement || state == nameTaken
}

// splitSQL: the literal becomes a constant when the statement is parsed, the function is evaluated when it runs, and both tell when their transaction began. They
// agree if parsing and running are one transaction.
var splitSQL = `SELECT 'now'::timestamptz <> now() FROM (SELECT ARRAY[` + splitParams() + `]::text[]) AS unused`

func splitParams() string {
	list := make([]string, splitArgs)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(list, ", ")
}

// splitsStatements tells whether a statement with arguments is parsed in one transaction and run in another.
func splitsStatements(ctx context.Context, db *sqlx.DB) (split bool, err error) {
	args := make([]any, splitArgs)
	for i := range args {
		args[i] = "tandem doctor"
	}
	for range splitTries {
		err = db.GetContext(ctx, &split, splitSQL, args...)
		if pg.SQLState(err) == protocolViolation || preparedElsewhere(err) {
			return true, nil
		}
		if err != nil || split {
			return split, err
		}
	}
	return false, nil
}
