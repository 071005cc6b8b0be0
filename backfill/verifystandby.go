package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// Errors of VerifyOptions.Standby.
var (
	ErrStandby = errors.New("not a standby of this server")
	ErrLag     = errors.New("the standby lags behind")
)

const (
	defaultLag = time.Minute
	// A statement that comes to a standby further behind, of several behind one address, waits for less than the lease of its range.
	statementLag = lease / 2
)

// standby is where rows are read. It is right as soon as it shows the row of the state that says that the verification has begun: then it has replayed all that was committed before,
// and that row can be of no other server. What was written later the wrappers and the guard have kept in step.
type standby struct {
	db, primary *sqlx.DB
	lag         time.Duration
	migration   string
	began       time.Time // of the verification
}

// newStandby refuses what is no standby, and one of another cluster.
func newStandby(ctx context.Context, primary *sqlx.DB, o VerifyOptions, migration string) (*standby, error) {
	s := &standby{db: o.Standby, primary: primary, lag: o.Lag, migration: migration}
	switch {
	case s.lag == 0:
		s.lag = defaultLag
	case s.lag < 0:
		return nil, fmt.Errorf("options: lag %s: must be positive", o.Lag)
	}
	var recovering bool
	err := pg.Retry(ctx, retry, pg.Transient, func(ctx context.Context) error {
		return s.db.GetContext(ctx, &recovering, `SELECT pg_is_in_recovery()`)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("standby: %w", err)
	case !recovering:
		return nil, fmt.Errorf("%w: it is a primary", ErrStandby)
	}
	here, err := systemIdentifier(ctx, primary)
	if err != nil {
		return nil, err
	}
	there, err := systemIdentifier(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("standby: %w", err)
	}
	if here != "" && there != "" && here != there {
		return nil, fmt.Errorf("%w: its system identifier is %s, not %s", ErrStandby, there, here)
	}
	return s, nil
}

// systemIdentifier is the cluster's; "" where the role may not see it.
func systemIdentifier(ctx context.Context, db *sqlx.DB) (id string, err error) {
	err = db.GetContext(ctx, &id, `SELECT system_identifier::text FROM pg_control_system()`)
	if pg.SQLState(err) == pg.InsufficientPrivilege {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("system identifier: %w", pg.Cause(ctx, err))
	}
	return id, nil
}

// look reads rows: on the standby, if there is one.
func (r *runner) look(ctx context.Context, fn func(ctx context.Context, q sqlx.QueryerContext) error) error {
	if r.standby == nil {
		return fn(ctx, r.db)
	}
	return r.standby.within(ctx, statementLag, fn)
}

// await returns when the standby shows that the verification has begun.
func (s *standby) await(ctx context.Context, p state.Pass) error {
	s.began = p.StartedAt
	return s.within(ctx, s.lag, func(context.Context, sqlx.QueryerContext) error { return nil })
}

var errNotYet = errors.New("not replayed yet")

// within runs fn on a connection that shows that the verification has begun, and waits for one for a while.
func (s *standby) within(ctx context.Context, patience time.Duration, fn func(ctx context.Context, q sqlx.QueryerContext) error) error {
	for until := time.Now().Add(patience); ; {
		err := pg.InTx(ctx, s.db, pg.Settings{ReadOnly: true}, func(ctx context.Context, tx *sqlx.Tx) error {
			if err := s.shows(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
		switch {
		case !errors.Is(err, errNotYet):
			return err
		case time.Now().After(until):
			return fmt.Errorf("%w: it has not replayed in %s where the verification began: %s", ErrLag, patience, s.behind(ctx))
		}
		if err := pg.Sleep(ctx, pollTime); err != nil {
			return fmt.Errorf("standby: %w: %s", err, s.behind(context.WithoutCancel(ctx)))
		}
	}
}

// shows asks the connection itself, for there may be several servers behind the address, and one may be promoted.
func (s *standby) shows(ctx context.Context, tx *sqlx.Tx) error {
	var recovering, installed, begun bool
	if err := tx.QueryRowContext(ctx, `SELECT pg_is_in_recovery(), to_regclass('tandem.range') IS NOT NULL`).Scan(&recovering, &installed); err != nil {
		return err
	}
	switch {
	case !recovering:
		return fmt.Errorf("%w any more: it is a primary", ErrStandby)
	case !installed:
		return errNotYet
	}
	err := tx.GetContext(ctx, &begun, `SELECT EXISTS (SELECT FROM tandem.backfill WHERE migration = $1 AND kind = 'verify' AND started_at = $2)`, s.migration, s.began)
	if err == nil && !begun {
		err = errNotYet
	}
	return err
}

// behind says how far the standby lags.
func (s *standby) behind(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var at, now, age string
	var paused bool
	var bytes int64
	err := s.db.QueryRowContext(ctx, `SELECT coalesce(pg_last_wal_replay_lsn()::text, '0/0'), pg_is_wal_replay_paused(), coalesce((clock_timestamp() - pg_last_xact_replay_timestamp())::text, 'unknown')`).
		Scan(&at, &paused, &age)
	if err == nil {
		err = s.primary.QueryRowContext(ctx, `SELECT pg_current_wal_lsn(), pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint`, at).Scan(&now, &bytes)
	}
	if err != nil {
		return fmt.Sprintf("how far it is cannot be read: %v", err)
	}
	text := fmt.Sprintf("it is at %s, %d bytes behind the primary's %s, and replayed a transaction last %s ago", at, bytes, now, age)
	if paused {
		text += "; its replay is paused: pg_wal_replay_resume()"
	}
	return text
}
