package state

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// Event is one line of the log of a migration.
type Event struct {
	Migration string
	Kind      string // apply, advance, revert, fallback, canary, relax, finish, restore, undo, backfill, verify, accept, unaccept
	From, To  phase.Phase
	Actor     string // defaults to user@host
	Detail    string
	Waived    map[string]string // gate: reason
	At        time.Time         // set by the database
}

// Log appends an event.
func Log(ctx context.Context, ext sqlx.ExtContext, e Event) error {
	if e.Actor == "" {
		e.Actor = Actor()
	}
	waived, err := json.Marshal(e.Waived)
	if err != nil || e.Waived == nil {
		waived = []byte("{}")
	}
	_, err = ext.ExecContext(ctx, `INSERT INTO tandem.event (migration, kind, from_phase, to_phase, actor, detail, waived)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, e.Migration, e.Kind, phaseText(e.From), phaseText(e.To), e.Actor, e.Detail, string(waived))
	if err != nil {
		return fmt.Errorf("log %s of %s: %w", e.Kind, e.Migration, pg.Cause(ctx, err))
	}
	return nil
}

func phaseText(p phase.Phase) *string {
	if !p.Valid() {
		return nil
	}
	s := p.String()
	return &s
}

// Events reads the log of a migration, oldest first.
func Events(ctx context.Context, q sqlx.QueryerContext, name string) ([]Event, error) {
	rows, err := q.QueryxContext(ctx, `SELECT kind, coalesce(from_phase, ''), coalesce(to_phase, ''), actor, detail, waived, at
		FROM tandem.event WHERE migration = $1 ORDER BY id`, name)
	if err != nil {
		return nil, fmt.Errorf("events of %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		e := Event{Migration: name}
		var from, to string
		var waived []byte
		if err := rows.Scan(&e.Kind, &from, &to, &e.Actor, &e.Detail, &waived, &e.At); err != nil {
			return nil, fmt.Errorf("events of %s: %w", name, err)
		}
		e.From, _ = phase.Parse(from) // '' is no phase
		e.To, _ = phase.Parse(to)
		if err := json.Unmarshal(waived, &e.Waived); err != nil {
			return nil, fmt.Errorf("events of %s: waived: %w", name, err)
		}
		out = append(out, e)
	}
	return out, pg.Cause(ctx, rows.Err())
}

// Actor names who runs this process: user@host.
func Actor() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if u, err := user.Current(); err == nil {
		return u.Username + "@" + host
	}
	return fmt.Sprintf("uid%d@%s", os.Getuid(), host)
}
