package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// Member is one row of tandem.member. All times are the database's, so a member's clock does not matter.
type Member struct {
	ID        string    `db:"id"`
	Service   string    `db:"service"`
	Build     string    `db:"build"`
	Host      string    `db:"host"`
	PID       int       `db:"pid"`
	StartedAt time.Time `db:"started_at"`
	SeenAt    time.Time `db:"seen_at"`
	Silent    float64   `db:"silent"` // seconds since it was seen, or, where the clock was set back since, until then

	Age float64 `db:"age"` // seconds since it joined

	Epochs    map[string]int64       `db:"-"` // acknowledged, by migration
	RawEpochs []byte                 `db:"epochs"`
	Phases    map[string]phase.Phase `db:"-"` // of these epochs
	RawPhases []byte                 `db:"phases"`
}

func (m Member) String() string {
	return fmt.Sprintf("%s %s on %s pid %d", m.Service, m.Build, m.Host, m.PID)
}

// Beat says that the member lives and which epochs it has acknowledged. A member that was forgotten is registered again.
func Beat(ctx context.Context, db sqlx.ExtContext, m Member) error {
	epochs, err := json.Marshal(m.Epochs)
	if err != nil {
		return err
	}
	phases, err := json.Marshal(m.Phases)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO tandem.member (id, service, build, host, pid, epochs, phases) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), epochs = EXCLUDED.epochs, phases = EXCLUDED.phases`,
		m.ID, m.Service, m.Build, m.Host, m.PID, string(epochs), string(phases))
	if err != nil {
		return fmt.Errorf("member %s: %w", m.ID, missing(pg.Cause(ctx, err)))
	}
	return nil
}

// Bury removes the members that have been silent for a day: they were killed, and no gate has waited for them since their lease.
func Bury(ctx context.Context, db sqlx.ExecerContext) error {
	if _, err := db.ExecContext(ctx, `DELETE FROM tandem.member WHERE seen_at < clock_timestamp() - interval '1 day'`); err != nil {
		return fmt.Errorf("members of yesterday: %w", pg.Cause(ctx, err))
	}
	return nil
}

// Part removes the member.
func Part(ctx context.Context, db sqlx.ExecerContext, id string) error {
	if _, err := db.ExecContext(ctx, `DELETE FROM tandem.member WHERE id = $1`, id); err != nil {
		return fmt.Errorf("member %s: %w", id, pg.Cause(ctx, err))
	}
	return nil
}

// Members lists all members, also silent ones.
func Members(ctx context.Context, q sqlx.QueryerContext) ([]Member, error) {
	var out []Member
	err := sqlx.SelectContext(ctx, q, &out, `SELECT id, service, build, host, pid, epochs, phases, started_at, seen_at,
		abs(extract(epoch FROM clock_timestamp() - seen_at))::float8 AS silent,
		extract(epoch FROM clock_timestamp() - started_at)::float8 AS age FROM tandem.member ORDER BY service, host, pid, id`)
	for i := range out {
		if err == nil {
			err = errors.Join(json.Unmarshal(out[i].RawEpochs, &out[i].Epochs), json.Unmarshal(out[i].RawPhases, &out[i].Phases))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("members: %w", missing(pg.Cause(ctx, err)))
	}
	return out, nil
}

// Mismatch is a row whose two columns did not agree.
type Mismatch struct {
	Migration string
	Key       []string
	Detail    string
	Phase     phase.Phase
	Source    string // read or verify
	Member    string
}

// Mismatches stores them, all in one statement. None is dated before the phase that it is counted in, also where the clock was set back since that began.
func Mismatches(ctx context.Context, db sqlx.ExecerContext, list []Mismatch) error {
	columns := make([][]string, 6)
	for _, m := range list {
		key, err := pq.Array(m.Key).Value()
		if err != nil {
			return err
		}
		for i, v := range []string{m.Migration, fmt.Sprint(key), m.Detail, m.Phase.String(), m.Source, m.Member} {
			columns[i] = append(columns[i], v)
		}
	}
	_, err := db.ExecContext(ctx, `INSERT INTO tandem.mismatch (migration, key, detail, phase, source, member, at)
		SELECT m, k::text[], d, p, s, w, greatest(clock_timestamp(), (SELECT changed_at FROM tandem.migration WHERE name = m)) FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS v(m, k, d, p, s, w)`,
		pq.Array(columns[0]), pq.Array(columns[1]), pq.Array(columns[2]), pq.Array(columns[3]), pq.Array(columns[4]), pq.Array(columns[5]))
	if err != nil {
		return fmt.Errorf("store %d mismatches: %w", len(list), pg.Cause(ctx, err))
	}
	return nil
}
