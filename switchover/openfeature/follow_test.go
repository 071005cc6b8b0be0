package openfeature_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	of "github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
	"github.com/tandem-go/tandem/switchover/openfeature"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var fullName = expand.Rename[string]("users", "user_name", "full_name")

// flags has the one flag, with a variant for each phase.
func flags(state memprovider.State, variant string, evaluator memprovider.ContextEvaluator) map[string]memprovider.InMemoryFlag {
	variants := map[string]any{"Swich": "Swich", "true": true}
	for p := switchover.Start; p <= switchover.Complete; p++ {
		variants[p.String()] = p.String()
	}
	return map[string]memprovider.InMemoryFlag{name: {Key: name, State: state, DefaultVariant: variant, Variants: variants, ContextEvaluator: evaluator}}
}

// because answers Expand, a step whose way is open, for another reason than STATIC.
func because(reason of.Reason) memprovider.ContextEvaluator {
	f := func(memprovider.InMemoryFlag, of.FlattenedContext) (any, of.ProviderResolutionDetail) {
		return "Expand", of.ProviderResolutionDetail{Reason: reason}
	}
	return &f
}

func phase(t *testing.T, db *sqlx.DB) (p switchover.Phase) {
	t.Helper()
	require.NoError(t, db.Get(&p, `SELECT phase FROM tandem.migration WHERE name = $1`, name))
	return p
}

// A flag that is on moves the migration; one that is missing, off, broken, stale or answers a default leaves it where it is.
func TestFollowFlag(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name text)`)
	require.NoError(t, expand.Apply(t.Context(), db, fullName, expand.Options{}))
	provider := memprovider.NewInMemoryProvider(flags(memprovider.Enabled, "Migrate", nil))
	source := openfeature.NewSource(client(t, provider), openfeature.Options{})
	var asked atomic.Int64
	counted := switchover.SourceFunc(func(ctx context.Context, migration string) (switchover.Phase, error) {
		asked.Add(1)
		return source.Propose(ctx, migration)
	})
	over := errors.New("the test is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- switchover.Follow(ctx, db, name, counted, switchover.FollowOptions{Poll: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	}()
	soon := func(condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond)
	}
	soon(func() bool { return phase(t, db) == switchover.Migrate })

	for want, set := range map[string]map[string]memprovider.InMemoryFlag{
		"missing":       {},
		"off":           flags(memprovider.Disabled, "Expand", nil),
		"default":       flags(memprovider.Enabled, "", because(of.DefaultReason)),
		"stale":         flags(memprovider.Enabled, "", because("STALE")),
		"not a variant": flags(memprovider.Enabled, "Later", nil),
		"not a string":  flags(memprovider.Enabled, "true", nil),
		"not a phase":   flags(memprovider.Enabled, "Swich", nil),
		"cached":        flags(memprovider.Enabled, "", because(of.CachedReason)),
	} {
		provider.UpdateFlags(set)
		before := asked.Load()
		soon(func() bool { return asked.Load() >= before+3 })
		require.Equal(t, switchover.Migrate, phase(t, db), want)
	}
	provider.UpdateFlags(flags(memprovider.Enabled, "Expand", nil))
	soon(func() bool { return phase(t, db) == switchover.Expand })
	provider.UpdateFlags(flags(memprovider.Enabled, "Migrate", nil))
	soon(func() bool { return phase(t, db) == switchover.Migrate })

	cancel(over)
	require.ErrorIs(t, <-done, over)
	var actors []string
	require.NoError(t, db.Select(&actors, `SELECT DISTINCT actor FROM tandem.event WHERE kind IN ('advance', 'revert')`))
	require.Len(t, actors, 1)
	require.Contains(t, actors[0], "flag via ")
}
