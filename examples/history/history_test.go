// Package history_test lets fleets run through all phases, forth and back, writes down what each member did and when, and asks a checker whether there is one order of all
// operations that explains every read: whether each row is linearizable, as if it had one column.
package history_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var (
	historyFor  = flag.Duration("history.for", 2*time.Second, "how long each fleet of TestHistory runs at least; once through all phases it always does")
	historySeed = flag.Uint64("history.seed", uint64(time.Now().UnixNano()), "of the actors' choices")
)

var (
	renamed = expand.Rename[string]("users", "user_name", "full_name")
	goOnly  = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name",
		Forward: backwards, Backward: backwards})
)

// backwards is its own inverse.
func backwards(s string) (string, error) {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes), nil
}

const (
	plainSQL       = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL)`
	partitionedSQL = plainSQL + ` PARTITION BY HASH (id); CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 1)`
)

// fleet is who runs at once, besides two members at READ COMMITTED and the operator.
type fleet struct {
	*testing.T
	table     string
	pair      expand.Any
	second    *expand.Pair[string, string] // another migration of the same table
	unguarded bool
	members   int // more members in goroutines
	levels    []sql.IsolationLevel
	actors    []func(ctx context.Context, f *fleet, a *actor)

	early *switchover.Member // knows nothing later than Start

	dsn  string
	db   *sqlx.DB
	h    *history
	seed uint64
}

// name is the pair that is one column; nil: it is a set.
func (f *fleet) name() *expand.Pair[string, string] {
	p, _ := f.pair.(*expand.Pair[string, string])
	return p
}

// member joins for the time of an actor.
func (f *fleet) member(ctx context.Context, o switchover.JoinOptions, fn func(m *switchover.Member)) {
	m, err := switchover.Join(ctx, f.db, o)
	if err != nil {
		if ctx.Err() == nil {
			f.h.fail(err)
		}
		return
	}
	fn(m)
	_ = m.Leave(context.WithoutCancel(ctx))
}

func wrapper(level sql.IsolationLevel) func(ctx context.Context, f *fleet, a *actor) {
	return func(ctx context.Context, f *fleet, a *actor) {
		f.member(ctx, a.joining(), func(m *switchover.Member) { a.wrapped(ctx, m, level) })
	}
}

// zombie keeps the phase of Start, or after some time for ever the one that then is.
func zombie(ctx context.Context, f *fleet, a *actor) {
	a.zombie(ctx, f.early)
	for ctx.Err() == nil {
		f.member(ctx, a.joining(), func(m *switchover.Member) { a.zombie(ctx, m) })
	}
}

func oldBinary(ctx context.Context, _ *fleet, a *actor) { a.raw(ctx, a.pair.Definition().Old[0]) }
func onlyNew(ctx context.Context, _ *fleet, a *actor)   { a.raw(ctx, a.pair.Definition().New[0]) }
func sameAgain(ctx context.Context, _ *fleet, a *actor) { a.repeated(ctx) }
func lostCommit(ctx context.Context, f *fleet, a *actor) {
	f.member(ctx, a.joining(), func(m *switchover.Member) {
		a.cut(ctx, m, func(c *pgtest.Cut) *sqlx.DB { return pgtest.OpenCut(f, f.dsn, c) })
	})
}

func twoPhase(ctx context.Context, f *fleet, a *actor) {
	f.member(ctx, a.joining(), func(m *switchover.Member) { a.prepared(ctx, m) })
}

var quiet = slog.New(slog.DiscardHandler)

func (a *actor) joining() switchover.JoinOptions {
	return switchover.JoinOptions{Service: a.name, Poll: 50 * time.Millisecond, Log: quiet}
}

// play runs the fleet and returns its history.
func (f *fleet) play() *history {
	f.Helper()
	f.h = &history{}
	f.dsn = pgtest.DSN(f.T)
	f.db = pgtest.Open(f.T, f.dsn)
	f.db.MustExec(f.table)
	old := first
	if f.pair == goOnly {
		old, _ = backwards(first)
	}
	f.db.MustExec(`INSERT INTO users SELECT i, $1 FROM generate_series(1, $2) i`, old, rowsOfTable)
	require.NoError(f, expand.Apply(f.Context(), f.db, f.pair, expand.Options{}))
	f.addSecond()
	var err error
	f.early, err = switchover.Join(f.Context(), f.db, switchover.JoinOptions{Poll: time.Hour, Log: quiet})
	require.NoError(f, err)
	f.Cleanup(func() { _ = f.early.Leave(context.WithoutCancel(f.Context())) })
	o := &operator{f.db, f.pair, f.h}
	walk := o.walk
	if f.unguarded {
		f.unguard(o)
		walk = o.unguarded
	}
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range f.members {
		f.actors = append(f.actors, wrapper(f.levels[i%len(f.levels)]))
	}
	for i, act := range f.actors {
		a := &actor{name: fmt.Sprintf("actor %d", i), h: f.h, db: f.db, pair: f.name(), forEver: f.unguarded, rng: rand.New(rand.NewPCG(f.seed, uint64(i)))}
		wg.Go(func() { act(ctx, f, a) })
	}
	other := f.walkSecond(ctx)
	steps, err := walk(ctx)
	if err != nil {
		cancel() // the other may wait for this one
	}
	err = errors.Join(err, other())
	cancel()
	wg.Wait()
	require.NoError(f, err)
	f.Logf("seed %d, %d steps of the operator", f.seed, steps)
	f.last()
	require.NoError(f, f.db.Get(&f.h.repaired, `SELECT count(*) FROM tandem.stray`))
	return f.h
}

// unguard takes the guard away in Switch, with all rows copied.
func (f *fleet) unguard(o *operator) {
	f.Helper()
	for _, step := range o.round()[:14] {
		require.NoError(f, step(f.Context()))
	}
	f.db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE users ALTER user_name DROP NOT NULL`)
}

// last reads every row when all is over.
func (f *fleet) last() {
	f.Helper()
	a := &actor{name: "last", h: f.h, db: f.db, pair: f.name()}
	switch {
	case f.second != nil:
		f.lastOfTwo(a)
		return
	case a.pair == nil:
		f.lastOfSet(a)
		return
	}
	f.member(f.Context(), a.joining(), func(m *switchover.Member) {
		users, err := expand.NewRepository[user](f.db, m, f.pair)
		require.NoError(f, err)
		for key := int64(1); key <= rowsOfTable; key++ {
			a.read(f.Context(), key, func() (string, error) {
				u, err := users.Get(f.Context(), key)
				return u.FullName, err
			})
		}
	})
}

// fleets by what they are made of. Ten members and more each.
func fleets() map[string]fleet {
	committed, repeatable, serial := sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable
	rename := fleet{table: plainSQL, pair: renamed, members: 10, levels: []sql.IsolationLevel{committed}}
	with := func(f fleet, actors ...func(context.Context, *fleet, *actor)) fleet {
		f.actors = actors
		return f
	}
	levels, partitioned, converted, fewer, two := rename, rename, rename, rename, rename
	fewer.members = 6
	levels.levels = []sql.IsolationLevel{committed, repeatable, serial}
	partitioned.table = partitionedSQL
	converted.pair = goOnly
	divided, dividedInGo := rename, rename
	divided.members, divided.pair = 0, halved
	dividedInGo.members, dividedInGo.pair = 0, halvedInGo
	two.members, two.table, two.second = 0, twoSQL, mailed
	return map[string]fleet{
		"WellBehaved":   rename,
		"Isolation":     with(levels, oldBinary),
		"Zombie":        with(rename, zombie, zombie, inProcess(true), inProcess(true)),
		"Processes":     with(fewer, inProcess(false), inProcess(false), inProcess(false), inProcess(true), oldBinary, sameAgain),
		"OldBinary":     with(rename, oldBinary, oldBinary, sameAgain),
		"OnlyNew":       with(rename, onlyNew, oldBinary),
		"LostCommit":    with(rename, lostCommit, oldBinary),
		"TwoPhase":      with(rename, twoPhase, oldBinary),
		"Partitioned":   with(partitioned, oldBinary, zombie, onlyNew, sameAgain),
		"ConvertedInGo": with(converted, oldBinary, sameAgain, zombie),
		"Set":           with(divided, ofSet, ofSet, ofSet, ofSet, ofSet, ofSet, onlyOld, onlyOld, oneHalf, oneHalf),
		"SetInGo":       with(dividedInGo, ofSet, ofSet, ofSet, ofSet, ofSet, ofSet, onlyOld, onlyOld, oneHalf),
		"TwoMigrations": with(two, bothColumns, bothColumns, bothColumns, bothColumns, bothColumns, bothColumns, bothColumns, bothColumns,
			oldBinary, zombie, ofSecond(oldBinary), ofSecond(zombie), ofSecond(onlyNew)),
		"Everybody": with(levels, zombie, oldBinary, onlyNew, sameAgain, lostCommit, twoPhase, inProcess(true)),
	}
}

// Whatever the members of a fleet do, each row is as if it had one column.
func TestHistory(t *testing.T) {
	var all history
	rows, checked := 0, 0
	for name, f := range fleets() {
		t.Run(name, func(t *testing.T) {
			f.T, f.seed = t, *historySeed
			h := f.play()
			require.True(t, h.check(t), "seed %d", f.seed)
			checked, rows = checked+1, rows+h.rows()
			all.events = append(all.events, h.events...)
			all.refused, all.repaired, all.unknown = all.refused+h.refused, all.repaired+h.repaired, all.unknown+h.unknown
		})
	}
	t.Logf("all in all %d fleets, %d rows' histories, %d operations, %d refused by the guard, %d repaired by it, %d of unknown end",
		checked, rows, len(all.events), all.refused, all.repaired, all.unknown)
}

// Without the guard the same test finds that the zombies and the old binary lose writes.
func TestHistoryFindsMissingGuard(t *testing.T) {
	for _, name := range []string{"Zombie", "OldBinary"} {
		t.Run(name, func(t *testing.T) {
			for try := range uint64(5) { // what goes wrong is a matter of chance
				f := fleets()[name]
				f.T, f.seed, f.unguarded = t, *historySeed+try, true
				if !f.play().check(t) {
					return
				}
			}
			require.Fail(t, "the checker found nothing", "seed %d", *historySeed)
		})
	}
}
