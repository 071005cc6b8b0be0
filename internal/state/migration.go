package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// Migration is one row of tandem.migration.
type Migration struct {
	Name        string      `db:"name"`
	Fingerprint string      `db:"fingerprint"`
	Phase       phase.Phase `db:"phase"`
	Guard       guard.Mode  `db:"guard"`
	Epoch       int64       `db:"epoch"`
	ChangedAt   time.Time   `db:"changed_at"`
	Since       float64     `db:"since"`   // seconds in this phase, by the database's clock
	Settled     float64     `db:"settled"` // seconds since phase or share changed

	Canary
	Definition pair.Definition `db:"-"`
	RawDef     []byte          `db:"definition"`
	Relaxed    Relaxed         `db:"-"`
	RawRelaxed []byte          `db:"relaxed"`
}

// Relaxed is what contract has taken from the old column so far.
type Relaxed struct {
	NotNull bool       `json:"not_null,omitempty"` // old was NOT NULL; new becomes so
	Name    string     `json:"name,omitempty"`     // of that constraint, from PostgreSQL 18 on
	Kind    string     `json:"kind,omitempty"`     // what is said behind it: NO INHERIT, NOT VALID
	Comment string     `json:"comment,omitempty"`  // on it
	Default string     `json:"default,omitempty"`  // old's default; new gets it
	Restore []ddl.Step `json:"restore,omitempty"`  // gives it all back to old, in this order
	Finish  []string   `json:"finish,omitempty"`   // SQL after the drop: twins of dropped constraints take their names
}

const migrationColumns = `name, fingerprint, phase, guard, epoch, changed_at, definition, relaxed, share, tolerance, least,
	extract(epoch FROM clock_timestamp() - changed_at)::float8 AS since,
	extract(epoch FROM clock_timestamp() - greatest(changed_at, shared_at))::float8 AS settled`

func (m *Migration) decode() error {
	return errors.Join(json.Unmarshal(m.RawDef, &m.Definition), json.Unmarshal(m.RawRelaxed, &m.Relaxed))
}

// Load reads one migration; ErrUnknown when there is none, ErrNoSchema before the first Install.
func Load(ctx context.Context, q sqlx.QueryerContext, name string) (*Migration, error) {
	return load(ctx, q, name, "")
}

// Lock is Load inside a transaction that is about to change the row: other operators wait until it ends.
func Lock(ctx context.Context, tx *sqlx.Tx, name string) (*Migration, error) {
	return load(ctx, tx, name, " FOR NO KEY UPDATE")
}

func load(ctx context.Context, q sqlx.QueryerContext, name, lock string) (*Migration, error) {
	var m Migration
	err := sqlx.GetContext(ctx, q, &m, `SELECT `+migrationColumns+` FROM tandem.migration WHERE name = $1`+lock, name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("migration %s: %w", name, ErrUnknown)
	}
	if err == nil {
		err = m.decode()
	}
	if err != nil {
		return nil, fmt.Errorf("migration %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	return &m, nil
}

// List reads all migrations by name.
func List(ctx context.Context, q sqlx.QueryerContext) ([]Migration, error) {
	var out []Migration
	err := sqlx.SelectContext(ctx, q, &out, `SELECT `+migrationColumns+` FROM tandem.migration ORDER BY name`)
	for i := range out {
		if err == nil {
			err = out[i].decode()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", missing(pg.Cause(ctx, err)))
	}
	return out, nil
}

// missing turns "relation does not exist" and "column does not exist" into words an operator can act on.
func missing(err error) error {
	switch pg.SQLState(err) {
	case pg.UndefinedTable, pg.UndefinedSchema:
		return fmt.Errorf("%w: %w", ErrNoSchema, err)
	case pg.UndefinedColumn, pg.UndefinedFunction:
		return fmt.Errorf("%w: %w", ErrOlder, err)
	}
	return err
}

// Register inserts the migration in phase Start, with an epoch that nobody has acknowledged in an earlier life of its name. A row that is there already must have the same definition, unless its migration is
// complete: then the name begins again.
func Register(ctx context.Context, tx *sqlx.Tx, d pair.Definition) (*Migration, error) {
	def, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if err := refuseOverlap(ctx, tx, d); err != nil {
		return nil, fmt.Errorf("register %s: %w", d.Name(), err)
	}
	for _, table := range notes {
		_, err := tx.ExecContext(ctx, `DELETE FROM tandem.`+table+` WHERE migration = $1
			AND EXISTS (SELECT FROM tandem.migration WHERE name = $1 AND phase = 'Complete')`, d.Name())
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", d.Name(), err)
		}
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO tandem.migration AS m (name, definition, fingerprint, phase, guard, epoch)
		VALUES ($1, $2, $3, 'Start', 'none', 1 + (SELECT coalesce(max((epochs->>$1)::bigint), 0) FROM tandem.member))
		ON CONFLICT (name) DO UPDATE SET definition = EXCLUDED.definition, fingerprint = EXCLUDED.fingerprint, phase = 'Start',
			guard = 'none', epoch = m.epoch + 1, relaxed = '{}', share = 1, shared_at = NULL, changed_at = now()
		WHERE m.phase = 'Complete'`, d.Name(), string(def), d.Fingerprint())
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", d.Name(), err)
	}
	m, err := Lock(ctx, tx, d.Name())
	if err != nil {
		return nil, err
	}
	return m, m.Same(d)
}

// refuseOverlap keeps two migrations that are under way from sharing a column: each would take the other's writes for strays. The lock makes registrations
// wait for one another.
func refuseOverlap(ctx context.Context, tx *sqlx.Tx, d pair.Definition) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey); err != nil {
		return err
	}
	list, err := List(ctx, tx)
	if err != nil {
		return err
	}
	return Overlap(list, d)
}

// Overlap refuses a pair that shares a column with another migration that is under way.
func Overlap(list []Migration, d pair.Definition) error {
	for _, other := range list {
		o := other.Definition
		if other.Phase != phase.Complete && other.Name != d.Name() && d.Meets(o) {
			return fmt.Errorf("table %s is in migration %s, which is in %s: finish it or undo it first: %w", d.Table, other.Name, other.Phase, ErrOverlap)
		}
		if other.Phase == phase.Complete || other.Name == d.Name() {
			continue
		}
		if _, c := d.Shares(o); c != "" {
			return fmt.Errorf("column %s belongs to migration %s, which is in %s: finish it or undo it first: %w", ident.Quote(c), other.Name, other.Phase, ErrOverlap)
		}
	}
	return nil
}

// Same refuses a declaration other than the one that the migration was started with.
func (m *Migration) Same(d pair.Definition) error {
	if m.Fingerprint != d.Fingerprint() {
		return fmt.Errorf("migration %s in phase %s, %s: %w", m.Name, m.Phase, d.Differs(m.Definition), ErrRedeclare)
	}
	return nil
}

// Move sets phase and guard of a migration whose row the transaction has locked. What was compared in the phase before counts no more.
func (m *Migration) Move(ctx context.Context, tx *sqlx.Tx, to phase.Phase, g guard.Mode) error {
	_, err := tx.ExecContext(ctx, `WITH past AS (DELETE FROM tandem.comparison WHERE migration = $1)
		UPDATE tandem.migration SET phase = $2, guard = $3, epoch = epoch + 1, changed_at = clock_timestamp()
		WHERE name = $1`, m.Name, to, g)
	if err != nil {
		return fmt.Errorf("migration %s to %s: %w", m.Name, to, pg.Cause(ctx, err))
	}
	m.Phase, m.Guard = to, g
	m.Epoch++
	return nil
}

// SetGuard records which guard is installed, in the transaction that installs it.
func (m *Migration) SetGuard(ctx context.Context, tx *sqlx.Tx, g guard.Mode) error {
	_, err := tx.ExecContext(ctx, `UPDATE tandem.migration SET guard = $2 WHERE name = $1`, m.Name, g)
	m.Guard = g
	return err
}

// SetRelaxed remembers what contract has taken from old, in the transaction that takes it.
func (m *Migration) SetRelaxed(ctx context.Context, tx *sqlx.Tx, r Relaxed) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE tandem.migration SET relaxed = $2 WHERE name = $1`, m.Name, string(text))
	m.Relaxed = r
	return err
}

// notes are the tables that hold what happened during one migration.
var notes = []string{"backfill", "control", "dirty", "stray", "bad_row", "mismatch", "comparison"}

// Forget removes a migration and all that was noted for it, except its events.
func Forget(ctx context.Context, tx *sqlx.Tx, name string) error {
	for _, table := range notes {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.`+table+` WHERE migration = $1`, name); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM tandem.migration WHERE name = $1`, name)
	return err
}
