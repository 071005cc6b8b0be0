package switchover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/state"
)

// MigrationStatus is where one migration stands, and why it stands there.
type MigrationStatus struct {
	Name      string
	Phase     Phase
	Since     time.Duration // in this phase, by the database's clock
	Guard     string        // none, repair, reject or reverse
	Step      Step          // what brought it there
	Members   []MemberStatus
	Blocks    []Gate  // what is missing for the next phase; empty: Advance would take the step
	Strays    []Stray // writes around the wrappers in the last hour
	Passes    []Pass  // copy, verify, reverse
	Dirty     int64   // rows of strays that wait for a conversion in Go
	BadRows   int64   // rows that do not convert
	Accepted  int64   // more such rows, which somebody lives with
	Different int64   // rows that reads of this phase found to differ

	Share    float64 // of the keys, what Switch reads from new
	Compared int64   // reads of the last hour, in this phase and with this share, that compared the two columns; members tell about every 5 s
	Differed int64   // of those, the ones that found a difference
}

// MemberStatus is one running instance.
type MemberStatus struct {
	ID, Service, Build, Host string
	PID                      int
	Age                      time.Duration // since it joined
	Phase                    Phase         // that it has acknowledged; zero: none yet
	Silent                   time.Duration // since it was last seen
	Live                     bool          // seen within the lease
	Acknowledged             bool          // the present phase
}

// Stray is who wrote around the wrappers.
type Stray = state.Stray

// Step is the last change of the phase: its kind, who took it, and why.
type Step = state.Step

// Pass is how far copy, verify or reverse is.
type Pass = state.Pass

// Status reads where every migration stands. It changes nothing, but to compare indexes it makes an empty copy of the table in schema tandem and rolls it back, so
// it needs the rights of the tables' owner; for a migration in Contract it reads the whole table. ErrNoSchema before
// the first Join or Apply.
func Status(ctx context.Context, db *sqlx.DB, o Options) ([]MigrationStatus, error) {
	filled, _, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	list, err := state.List(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	out := make([]MigrationStatus, 0, len(list))
	for i := range list {
		s, err := statusOf(ctx, db, &list[i], filled)
		if err != nil {
			return out, fmt.Errorf("status of %s: %w", list[i].Name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func statusOf(ctx context.Context, db *sqlx.DB, m *state.Migration, o Options) (MigrationStatus, error) {
	s := MigrationStatus{Name: m.Name, Phase: m.Phase, Since: seconds(m.Since), Guard: string(m.Guard)}
	counts, err := state.Count(ctx, db, m.Name)
	if err != nil {
		return s, err
	}
	s.Dirty, s.BadRows, s.Different = counts.Dirty, counts.BadRows, counts.Mismatches
	s.Accepted = counts.Accepted
	s.Share, s.Compared, s.Differed = m.Share, counts.Compared, counts.Different
	if s.Step, err = state.LastStep(ctx, db, m.Name); err != nil {
		return s, err
	}
	if s.Strays, err = state.Strays(ctx, db, m.Name); err != nil {
		return s, err
	}
	passes, err := state.Passes(ctx, db, m.Name)
	if err != nil {
		return s, err
	}
	kinds := []string{"copy", "verify", "reverse"}
	for _, kind := range slices.Sorted(maps.Keys(passes)) { // those of a part of the rows
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		if p, ok := passes[kind]; ok {
			s.Passes = append(s.Passes, p)
		}
	}
	members, err := state.Members(ctx, db)
	if err != nil {
		return s, err
	}
	for _, row := range members {
		s.Members = append(s.Members, MemberStatus{ID: row.ID, Service: row.Service, Build: row.Build, Host: row.Host, PID: row.PID,
			Age: seconds(row.Age), Phase: row.Phases[m.Name], Silent: seconds(row.Silent), Live: seconds(row.Silent) < o.Lease, Acknowledged: row.Epochs[m.Name] == m.Epoch})
	}
	if m.Phase == Complete {
		return s, nil
	}
	o.Wait = false
	_, _, err = waitFor(ctx, db, m.Name, m.Phase+1, o, gatesOf[m.Phase+1])
	var refused *GateError
	if errors.As(err, &refused) {
		s.Blocks, err = refused.Gates, nil
	}
	return s, err
}

// word says what a member has acknowledged of the present phase.
func (m MemberStatus) word(present Phase) string {
	word := "has acknowledged " + present.String()
	switch {
	case !m.Acknowledged && m.Phase.Valid() && m.Phase != present:
		word = fmt.Sprintf("has not acknowledged %s, still in %s", present, m.Phase)
	case !m.Acknowledged:
		word = "has not acknowledged " + present.String()
	}
	if !m.Live {
		return "dead, " + word
	}
	return word
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// String is the status as an operator reads it.
func (s MigrationStatus) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s for %s, guard %s", s.Name, s.Phase, s.Since.Round(time.Second), s.Guard)
	if s.Phase == Switch && s.Share < 1 {
		fmt.Fprintf(&b, ", %v %% of the keys read from new", percent(s.Share))
	}
	if s.Step.Kind != "" {
		fmt.Fprintf(&b, "\n  last step: %s by %s", s.Step.Kind, s.Step.Actor)
		if s.Step.Detail != "" {
			fmt.Fprintf(&b, ": %s", s.Step.Detail)
		}
	}
	if s.Compared > 0 {
		fmt.Fprintf(&b, "\n  %d reads compared old and new, %d of them differed", s.Compared, s.Differed)
	}
	for _, p := range s.Passes {
		state := "under way"
		if p.UnderWay {
			state = fmt.Sprintf("under way, %.0f %% of round %d", 100*p.Share, p.Round+1)
		}
		if p.Held != "" {
			state += ", held: " + p.Held
		}
		if p.FinishedAt != nil {
			state = "finished " + p.FinishedAt.Format(time.DateTime)
		}
		fmt.Fprintf(&b, "\n  %s: %d rows, of about %d, %d differences, %s", p.Kind, p.Rows, p.Total, p.Differences, state)
		if p.UnderWay && p.Progress != "" {
			fmt.Fprintf(&b, "\n    %s", p.Progress)
		}
	}
	if s.BadRows+s.Accepted > 0 {
		fmt.Fprintf(&b, "\n  %d rows do not convert, %d more are accepted", s.BadRows, s.Accepted)
	}
	for _, m := range s.Members {
		fmt.Fprintf(&b, "\n  member %s %s on %s pid %d, up for %s: %s, seen %s ago", m.Service, m.Build, m.Host, m.PID, m.Age.Round(time.Second), m.word(s.Phase), m.Silent)
	}
	for _, w := range s.Strays {
		fmt.Fprintf(&b, "\n  stray %s of role %s from %s: %d transactions with an %s, last %s", w.Application, w.Role, w.Address, w.Count, w.Operation, w.Last.Format(time.DateTime))
	}
	if len(s.Blocks) == 0 && s.Phase != Complete {
		fmt.Fprintf(&b, "\n  ready for %s", s.Phase+1)
	}
	for _, g := range s.Blocks {
		fmt.Fprintf(&b, "\n  before %s, %s", s.Phase+1, g)
	}
	return b.String()
}
