package expand

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// Repository reads and writes the rows of a table that has pairs. T is a struct with sqlx's db tags in its final shape: the new columns, not the
// old ones. Each method is one SQL statement, built for the phase that the operation is pinned to; together they write the pair's columns and
// its stamp in that one statement.
//
// A field tagged `tandem:"default"` is left to the database while it is zero: an insert reads it back, an update keeps the row's. That is for serial and
// GENERATED ALWAYS keys, created_at.
//
// Outside a transaction, a statement that PostgreSQL refuses because the phase has just moved on is run once more in the new phase. Inside one,
// the error is ErrPhaseMoved. A row that is not there is sql.ErrNoRows.
type Repository[T any] struct {
	db     *sqlx.DB
	member *switchover.Member
	tx     *Tx // nil: each statement by itself
	*shared
}

// shared is what a repository and its copies inside transactions have in common.
type shared struct {
	model *model

	mu         sync.RWMutex
	statements map[statementKey]string
}

// statementKey says what a statement's text depends on.
type statementKey struct {
	op      string
	columns string // of UpdateColumns
	zero    uint64 // of an INSERT: the fields left to the database, a bit each
	phases  phases
}

// NewRepository checks T against the pairs, which must be of one table, and returns a repository of it. It sends nothing to the database. In place of pairs it takes one
// Replacement; T then has the new table's columns, of which each must be in the old table too, as it is.
func NewRepository[T any](db *sqlx.DB, member *switchover.Member, pairs ...Any) (*Repository[T], error) {
	if db == nil || member == nil {
		return nil, errors.New("repository: needs a database and a member: switchover.Join gives one")
	}
	m, err := newModel(reflect.TypeFor[T](), pairs)
	if err != nil {
		return nil, err
	}
	return &Repository[T]{db: db, member: member, shared: &shared{model: m, statements: map[statementKey]string{}}}, nil
}

// In returns the repository inside a transaction.
func (r *Repository[T]) In(tx *Tx) *Repository[T] {
	inside := *r
	inside.tx = tx
	return &inside
}

// InTx is the package's InTx with the repository's own database and member.
func (r *Repository[T]) InTx(ctx context.Context, o *sql.TxOptions, fn func(ctx context.Context, tx *Tx) error) error {
	return InTx(ctx, r.db, r.member, o, fn)
}

// queryer is what *sqlx.DB and *sqlx.Tx both are.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// view is what one operation sees: its phases, and the pin that they come from.
type view struct {
	phases
	pin switchover.Pin
}

// run pins the phases, or takes the transaction's, and runs op in them.
func (r *Repository[T]) run(ctx context.Context, what string, op func(ctx context.Context, q queryer, p view) error) error {
	step := func(q queryer, pin switchover.Pin) error {
		p, err := r.model.pinned(pin)
		if err != nil {
			return err
		}
		return op(ctx, q, view{p, pin})
	}
	var err error
	if r.tx != nil {
		err = explain(ctx, r.member, r.tx.pin, step(r.tx.Tx, r.tx.pin))
	} else {
		err = statement(ctx, r.member, func(pin switchover.Pin) error { return step(r.db, pin) })
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, r.model.table, err)
	}
	return nil
}

// text builds a statement once for each key.
func (s *shared) text(key statementKey, build func() string) string {
	s.mu.RLock()
	text, ok := s.statements[key]
	s.mu.RUnlock()
	if !ok {
		text = build()
		s.mu.Lock()
		s.statements[key] = text
		s.mu.Unlock()
	}
	return text
}

// Get reads the row with that key, its values in the order of the pair's Key. sql.ErrNoRows when there is none.
func (r *Repository[T]) Get(ctx context.Context, key ...any) (T, error) {
	var out T
	err := r.checkKey(key)
	if err != nil {
		return out, fmt.Errorf("get from %s: %w", r.model.table, err)
	}
	err = r.run(ctx, "get from", func(ctx context.Context, q queryer, p view) error {
		text := r.text(statementKey{op: "get", phases: p.phases}, func() string { return r.model.selectSQL(p.phases) + r.model.whereKey(1) })
		return r.one(ctx, q, p, &out, text, key)
	})
	return out, err
}

// Select reads rows. The clause is what follows the table in SQL: `WHERE {full_name} = $1 ORDER BY {full_name} LIMIT 10`. {column} names the new column of
// a pair and becomes the column that the phase reads; its arguments are made with the pair's Arg. The table goes by its bare name.
// Where a pair moves to another table, that is joined: FOR UPDATE is to be FOR UPDATE OF the table.
// Up to Migrate a filter asks old, which is right; from Switch on new, which is exact but for strays of a pair that only Go converts: those are found
// by their new value after backfill.Sweep.
func (r *Repository[T]) Select(ctx context.Context, clause string, args ...any) ([]T, error) {
	var out []T
	err := r.run(ctx, "select from", func(ctx context.Context, q queryer, p view) error {
		out = nil
		text, err := r.model.clause(p.phases, clause)
		if err != nil {
			return err
		}
		resolved, err := r.model.arguments(p.phases, args)
		if err != nil {
			return err
		}
		head := r.text(statementKey{op: "select", phases: p.phases}, func() string { return r.model.selectSQL(p.phases) })
		return r.rows(ctx, q, p, head+" "+text, resolved, func() *T {
			out = append(out, *new(T))
			return &out[len(out)-1]
		})
	})
	return out, err
}

// Delete removes the row with that key. sql.ErrNoRows when there is none.
func (r *Repository[T]) Delete(ctx context.Context, key ...any) error {
	if err := r.checkKey(key); err != nil {
		return fmt.Errorf("delete from %s: %w", r.model.table, err)
	}
	return r.run(ctx, "delete from", func(ctx context.Context, q queryer, p view) error {
		res, err := q.ExecContext(ctx, "DELETE FROM "+r.model.writes(p.phases)+r.model.whereKey(1), key...)
		return affected(res, err)
	})
}

func (r *Repository[T]) checkKey(key []any) error {
	if len(r.model.key) == 0 {
		return ErrNoKey
	}
	if len(key) != len(r.model.key) {
		return fmt.Errorf("key of %d values for (%s)", len(key), ident.List("", r.model.key))
	}
	return nil
}

// one reads exactly one row into out.
func (r *Repository[T]) one(ctx context.Context, q queryer, p view, out *T, text string, args []any) error {
	n := 0
	err := r.rows(ctx, q, p, text, args, func() *T { n++; return out })
	if err == nil && n == 0 {
		return sql.ErrNoRows
	}
	return err
}

// rows scans every row into what next returns, and reports rows whose columns differ.
func (r *Repository[T]) rows(ctx context.Context, q queryer, p view, text string, args []any, next func() *T) (err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	s := newScanner(r.model, p)
	defer s.count()
	for rows.Next() {
		v := reflect.ValueOf(next()).Elem()
		if err := rows.Scan(s.destinations(v)...); err != nil {
			return err
		}
		if err := s.finish(v, r.member.Report); err != nil {
			return err
		}
	}
	return rows.Err()
}

func affected(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, sql.ErrNoRows)
	}
	return nil
}
