package switchover_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// Do, undo, do: every phase on the way is taken, and the log says that it was a flag.
func TestFollow(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	f := &flag{phase: switchover.Switch}
	j := b.follow(f, switchover.FollowOptions{})
	b.reaches(switchover.Switch)
	b.keeps(f, switchover.Switch, nil)
	f.set(switchover.Start, nil)
	b.reaches(switchover.Start)
	b.keeps(f, switchover.Start, nil)
	f.set(switchover.Migrate, nil)
	b.reaches(switchover.Migrate)
	var steps []string
	for _, e := range b.events() {
		require.Equal(t, "flag via "+state.Actor(), e.Actor)
		require.Empty(t, e.Waived)
		steps = append(steps, e.Kind+" "+e.To.String())
	}
	require.Equal(t, []string{"advance Expand", "advance Migrate", "advance Switch", "revert Migrate", "revert Expand", "revert Start",
		"advance Expand", "advance Migrate"}, steps)
	b.soon(func() bool { return j.count("tandem: moved by proposal") == len(steps) }, "each step is logged")
	require.Zero(t, j.count("level=WARN"))
}

// A step back does not wait for the next poll.
func TestFollowBackAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	b.follow(&flag{phase: switchover.Start}, switchover.FollowOptions{Poll: time.Hour, Options: switchover.Options{Actor: "ada"}})
	b.reaches(switchover.Start)
	require.Equal(t, "ada", b.events()[0].Actor)
}

func TestFollowKeepsThePhase(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	f := &flag{phase: switchover.Migrate}
	j := b.follow(f, switchover.FollowOptions{})
	b.keeps(f, switchover.Migrate, nil)
	b.keeps(f, switchover.Switch, switchover.ErrNoProposal)
	b.keeps(f, switchover.Start, errors.New("flag service unreachable"))
	for _, p := range []switchover.Phase{0, -1, 7} {
		b.keeps(f, p, nil)
	}
	require.Equal(t, 1, j.count(`level=INFO msg="tandem: nothing proposed, keeping the admitted phase"`))
	require.Equal(t, 1, j.count(`level=WARN msg="tandem: nothing proposed, keeping the admitted phase" migration=users.full_name phase=Migrate error="flag service unreachable"`))
	require.Empty(t, b.events())
	f.set(switchover.Switch, nil)
	b.reaches(switchover.Switch)
}

// A closed gate is logged once, although its text counts seconds, asked again, and never waived unless the options do.
func TestFollowWaitsForGates(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	b.db.MustExec(memberRow)
	b.db.MustExec(`UPDATE tandem.member SET seen_at = now() - interval '1000 seconds'`)
	f := &flag{}
	j := b.follow(f, switchover.FollowOptions{Options: switchover.Options{Lease: time.Hour}})
	b.keeps(f, switchover.Switch, nil)
	b.db.MustExec(`UPDATE tandem.member SET seen_at = now() - interval '1007 seconds'`)
	b.keeps(f, switchover.Switch, nil)
	require.Equal(t, 1, j.count("proposed step not taken"))
	require.Equal(t, 1, j.count("level=INFO"))
	require.Equal(t, 1, j.count("has not acknowledged Expand"))
	b.db.MustExec(allMember)
	b.reaches(switchover.Migrate)
	b.keeps(f, switchover.Switch, nil) // the member has not acknowledged Migrate either
	waiving := switchover.FollowOptions{Options: switchover.Options{Lease: time.Hour, Waive: map[string]string{"members": "it hangs"}}}
	b.follow(&flag{phase: switchover.Switch}, waiving)
	b.reaches(switchover.Switch)
	require.Equal(t, map[string]string{"members": "it hangs"}, b.events()[1].Waived)
}

// Without leave a flag goes no farther than Switch, and does not undo what an operator has done.
func TestFollowStopsBeforeContract(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	f := &flag{phase: switchover.Complete}
	j := b.follow(f, switchover.FollowOptions{})
	b.reaches(switchover.Switch)
	b.keeps(f, switchover.Complete, nil)
	b.keeps(f, switchover.Contract, nil)
	require.Equal(t, 2, j.count("to and from Contract by an operator")) // two proposals
	require.NoError(t, b.advance(switchover.Contract, open))
	for _, p := range []switchover.Phase{switchover.Complete, switchover.Start, switchover.Switch} {
		b.keeps(f, p, nil)
	}
	b.set(switchover.Complete)
	b.keeps(f, switchover.Switch, nil)
	require.Equal(t, 1, j.count("there is no way back from Complete"))
}

// With leave it takes the swap and the step back, and leaves to people what needs more than a step.
func TestFollowToContractAndBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	f := &flag{phase: switchover.Complete}
	j := b.follow(f, switchover.FollowOptions{Contract: true})
	b.reaches(switchover.Contract)
	require.Empty(t, b.gates(switchover.Complete, open), "only the rule is in the way")
	b.keeps(f, switchover.Complete, nil)
	require.Equal(t, 1, j.count("to Complete only by contract.Apply with Drop"))
	f.set(switchover.Migrate, nil)
	b.reaches(switchover.Switch)
	b.keeps(f, switchover.Migrate, nil)
	require.Equal(t, 1, j.count("level=WARN msg=\"tandem: proposed step not taken\""))
	require.Equal(t, 1, j.count("run backfill.Run with Reverse"))
}

// After a fallback the flag's old word does not count: it must be taken back first, or an operator decides.
func TestFollowAfterFallback(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	f := &flag{phase: switchover.Switch}
	j := b.follow(f, switchover.FollowOptions{})
	b.reaches(switchover.Switch)

	b.fallback()
	b.keeps(f, switchover.Switch, nil)
	require.NoError(t, state.Log(t.Context(), b.db, state.Event{Migration: name, Kind: "verify"})) // no step
	b.keeps(f, switchover.Switch, nil)
	b.keeps(f, 0, switchover.ErrNoProposal) // is no word either
	b.keeps(f, switchover.Switch, nil)
	require.Equal(t, 2, j.count("the database has fallen back: propose Migrate first"))
	b.keeps(f, switchover.Migrate, nil)
	f.set(switchover.Switch, nil)
	b.reaches(switchover.Switch)

	b.fallback() // the word taken back after the last one does not count for this one
	b.keeps(f, switchover.Switch, nil)
	f.set(switchover.Expand, nil)
	b.reaches(switchover.Expand)
	f.set(switchover.Switch, nil)
	b.reaches(switchover.Switch)

	b.fallback()
	b.keeps(f, switchover.Switch, nil)
	require.NoError(t, b.advance(switchover.Switch, open))
	b.keeps(f, switchover.Switch, nil)
	require.NoError(t, switchover.Revert(t.Context(), b.db, name, switchover.Migrate, open))
	b.reaches(switchover.Switch)
}

// A fallback that comes while the source is asked leaves the phase that was read, and still counts.
func TestFollowMeetsFallback(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	asked := make(chan struct{})
	answers := make(chan switchover.Phase)
	j := b.follow(switchover.SourceFunc(func(ctx context.Context, _ string) (switchover.Phase, error) {
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		select {
		case p := <-answers:
			return p, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}), switchover.FollowOptions{})
	<-asked
	require.NoError(t, b.advance(switchover.Switch, open))
	b.fallback()
	for range 3 {
		answers <- switchover.Switch
		<-asked
	}
	require.Equal(t, switchover.Migrate, b.migration().Phase)
	require.Len(t, b.events(), 2)
	require.Equal(t, 1, j.count(`level=DEBUG msg="tandem: another has moved it"`))
}

// Of many followers one takes each step, and the others have nothing to complain of.
func TestFollowersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	f := &flag{phase: switchover.Switch}
	var journals []*journal
	for range 5 {
		journals = append(journals, b.follow(f, switchover.FollowOptions{}))
	}
	b.reaches(switchover.Switch)
	f.set(switchover.Start, nil)
	b.reaches(switchover.Start)
	before := f.count()
	b.soon(func() bool { return f.count() >= before+20 }, "all have seen it")
	require.Len(t, b.events(), 6)
	moved := 0
	for _, j := range journals {
		moved += j.count("moved by proposal")
		require.Zero(t, j.count("level=WARN"), j.buf.String())
	}
	require.Equal(t, 6, moved)
}

func TestFollowOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	ctx, cancel := context.WithTimeout(t.Context(), waitTime) // for options that make sense
	defer cancel()
	for want, o := range map[string]switchover.FollowOptions{
		"a negative poll -1ns":     {Poll: -1},
		"a negative duration -2ns": {Options: switchover.Options{Quiet: -2}},
		"Wait and Within are":      {Options: switchover.Options{Wait: true}},
		"there is no gate \"x\"":   {Options: switchover.Options{Waive: map[string]string{"x": "y"}}},
	} {
		require.ErrorContains(t, switchover.Follow(ctx, b.db, name, &flag{}, o), want)
	}
	o := switchover.FollowOptions{}
	o.Within = func(context.Context, *sqlx.Tx) error { return nil }
	require.ErrorContains(t, switchover.Follow(ctx, b.db, name, &flag{}, o), "Wait and Within are")
}

// A database that is not there is tried every 5 s, give or take a fifth, and complained of once.
func TestFollowPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tried atomic.Int64
		db := sqlx.NewDb(sql.OpenDB(silent{&tried}), "postgres")
		defer func() { require.NoError(t, db.Close()) }()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errOver)
		defer cancel()
		j := &journal{}
		f := &flag{}
		err := switchover.Follow(ctx, db, name, f, switchover.FollowOptions{Log: slog.New(slog.NewTextHandler(j, nil))})
		require.ErrorIs(t, err, errOver)
		require.ErrorContains(t, err, "follow users.full_name: ")
		require.InDelta(t, 720, tried.Load(), 40)
		require.Zero(t, f.count())
		require.Equal(t, 1, j.count("no route"))
		require.Equal(t, 1, j.count("tandem: "))
	})
}
