package switchover

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// Canary lets the reads of new begin in Switch with some of the keys, and says when the fleet takes them back by itself. The zero value reads every key from new
// and goes back when more than 1 % of at least 1,000 compared reads differ.
//
// A key is read from new by all members or by none, and one that is read from new stays so when Share grows. Filters, which have no key, ask old until Share is 1. Every
// read in Switch compares, whichever column it returns. Members add up with each beat, in tandem.comparison, what they have compared; the one that makes the fleet's differences of
// the last five minutes too many flips the phase to Migrate, with an event of kind fallback, and Switch then asks for a new backfill.Verify. Once contract.Apply with
// Relax has taken old's unique indexes the fleet does not go back by itself: reads of old would miss them.
type Canary struct {
	Share     float64 // of the keys, more than 0 and at most 1; defaults to 1
	Tolerance float64 // share of the compared reads that may differ before the fleet goes back to Migrate; 1: never; defaults to 0.01
	Least     int64   // compared reads before that is judged; defaults to 1,000
}

// Defaults of a Canary. Where nothing is wrong nothing differs, so that a tolerance of 1 % only keeps a few odd rows from moving a fleet.
const (
	defaultTolerance = 0.01
	defaultLeast     = 1000
)

func (c Canary) withDefaults() (Canary, error) {
	switch {
	case !(c.Share >= 0 && c.Share <= 1): // NaN is refused too
		return c, fmt.Errorf("canary: a share of %v: must be at least 0, which means all, and at most 1", c.Share)
	case !(c.Tolerance >= 0 && c.Tolerance <= 1):
		return c, fmt.Errorf("canary: a tolerance of %v: must be at least 0, which means the default, and at most 1", c.Tolerance)
	case c.Least < 0:
		return c, fmt.Errorf("canary: at least %d compared reads: must not be negative", c.Least)
	}
	if c.Share == 0 {
		c.Share = 1
	}
	if c.Tolerance == 0 {
		c.Tolerance = defaultTolerance
	}
	if c.Least == 0 {
		c.Least = defaultLeast
	}
	return c, nil
}

func (c Canary) String() string {
	return fmt.Sprintf("%v %% of the keys are read from new, back to Migrate when more than %v %% of %d compared reads or more differ",
		percent(c.Share), percent(c.Tolerance), c.Least)
}

// percent has no more digits than somebody meant.
func percent(share float64) float64 { return math.Round(share*1e8) / 1e6 }

// SetCanary changes the share of keys that are read from new, and the tolerance, while the migration is in Switch; members follow with their next poll and acknowledge it as they do
// a phase. Soak time for Contract, and what was compared, count from the last change of the share. Errors: ErrStep in another phase and on the way back from Contract, where old is
// stale; ErrUnknown; a value that makes no sense.
func SetCanary(ctx context.Context, db *sqlx.DB, migration string, c Canary, o Options) error {
	c, err := c.withDefaults()
	if err != nil {
		return fmt.Errorf("canary of %s: %w", migration, err)
	}
	o, locks, err := o.withDefaults()
	if err != nil {
		return fmt.Errorf("canary of %s: %w", migration, err)
	}
	again := func(err error) bool { return pg.SQLState(err) == pg.LockNotAvailable } // another step is being taken
	err = pg.Retry(ctx, pg.Backoff{Base: locks.LockTimeout, Max: time.Second, Attempts: locks.Attempts}, again, func(ctx context.Context) error {
		return pg.InTx(ctx, db, pg.Settings{LockTimeout: locks.LockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
			return setCanary(ctx, tx, migration, c, o)
		})
	})
	if err != nil {
		return fmt.Errorf("canary of %s: %w", migration, err)
	}
	return nil
}

func setCanary(ctx context.Context, tx *sqlx.Tx, migration string, c Canary, o Options) error {
	m, err := state.Lock(ctx, tx, migration)
	switch {
	case err != nil:
		return err
	case m.Phase != Switch:
		return fmt.Errorf("it is in %s, a canary is for Switch: %w", m.Phase, ErrStep)
	case m.Definition.Replaces() && c.Share < 1:
		return fmt.Errorf("a replaced table has no canary, all keys are read from one table: %w", ErrStep)
	case m.Definition.Keyless() && c.Share < 1:
		return fmt.Errorf("a table without a key has no canary, there are no keys to share out: %w", ErrStep)
	case m.Guard == guard.Reverse:
		return fmt.Errorf("it is on the way back from Contract, where old is stale: run backfill.Run with Reverse, then contract.Apply with Restore: %w", ErrStep)
	}
	if err := m.SetCanary(ctx, tx, state.Canary(c)); err != nil {
		return err
	}
	return state.Log(ctx, tx, state.Event{Migration: m.Name, Kind: "canary", From: m.Phase, To: m.Phase, Actor: o.Actor, Detail: c.String()})
}

// Partial tells whether some keys of a migration in Switch are still read from old.
func (p Pin) Partial(migration string) bool {
	k := p.snap.migrations[migration]
	return k.phase == Switch && k.share < 1 && !k.stale
}

// ReadsNew tells whether a partial migration reads that key, its values as text, from new.
func (p Pin) ReadsNew(migration string, key []string) bool {
	return position(migration, key) < p.snap.migrations[migration].share
}

// position places a key in [0, 1) by FNV-1a, the same in every process. The name of the migration is part of it, so that different keys begin in different migrations.
// FNV leaves keys that differ in their last byte close to one another; the finalizer of MurmurHash3 spreads them.
func position(migration string, key []string) float64 {
	h := fnv.New64a()
	for _, part := range append([]string{migration}, key...) {
		_, _ = fmt.Fprintf(h, "%d %s ", len(part), part) // the length keeps (a, bc) and (ab, c) apart
	}
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
