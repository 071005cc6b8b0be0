package tandemriver_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func output(t *testing.T, job *rivertype.JobRow) (out tandemriver.Output) {
	t.Helper()
	require.NoError(t, json.Unmarshal(job.Output(), &out))
	return out
}

func snoozes(job *rivertype.JobRow) int64 { return gjson.GetBytes(job.Metadata, "snoozes").Int() }

// Two slots work at once, with a connection each, and share the ranges.
func TestSlots(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	both := make(chan struct{})
	var calls atomic.Int64
	o := oneStatement
	o.Progress = func(backfill.Progress) {
		switch calls.Add(1) {
		case 1: // it stays until the other slot has written rows as well
			select {
			case <-both:
			case <-time.After(waitTime):
				assert.Fail(t, "no other slot works")
			}
		case 2:
			close(both)
		}
	}
	pool := pgtest.Open(t, b.dsn)
	pool.SetMaxOpenConns(2)
	w, err := tandemriver.NewWorker(tandemriver.Migration{DB: pool, Pair: b.pair, Run: o})
	require.NoError(t, err)
	jobs := b.enqueue(2)
	b.client(config("one", w))
	var rows int64
	for _, job := range jobs {
		job = b.is(job, rivertype.JobStateCompleted)
		require.Empty(t, job.Errors)
		require.Positive(t, snoozes(job))
		require.Positive(t, output(t, job).Rows)
		rows += output(t, job).Rows
	}
	require.EqualValues(t, 1000, rows)
	b.copied()
}

// A job that is snoozed goes on with another client.
func TestAnotherClientGoesOn(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	job := b.enqueue(1)[0]
	once := config("one", b.worker(oneStatement))
	once.FetchPollInterval = time.Hour // it looks as it starts, and no more
	one := b.client(once)
	snoozed, unsubscribe := one.Subscribe(river.EventKindJobSnoozed)
	defer unsubscribe()
	select {
	case <-snoozed:
	case <-time.After(waitTime):
		require.Fail(t, "no slice has ended")
	}
	require.NoError(t, one.Stop(b.ctx))
	job = b.is(job, rivertype.JobStateAvailable)
	require.Equal(t, []string{"one"}, job.AttemptedBy)
	begun := b.number(stamped)
	require.Positive(t, begun)
	require.Less(t, begun, 500)
	require.EqualValues(t, begun, output(t, job).Rows)

	b.client(config("two", b.worker(oneStatement)))
	job = b.is(job, rivertype.JobStateCompleted)
	require.Equal(t, "two", job.AttemptedBy[len(job.AttemptedBy)-1])
	require.Equal(t, 1, job.Attempt, "a slice is no attempt")
	require.GreaterOrEqual(t, snoozes(job), int64(4), "two stripes of two partitions")
	require.Equal(t, tandemriver.Output{Rows: 1000}, output(t, job))
	b.copied()
}

// On the way back from Contract jobs copy new to old, in slices as well.
func TestReverse(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.NoError(t, err)
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	b.advance(switchover.Switch)
	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Relax, contract.Options{Gates: switchover.Options{Quiet: switchover.None}}))
	b.advance(switchover.Contract)
	b.exec(`UPDATE users SET full_name = 'new ' || id, full_name_stamp = $1 + id`, int(switchover.Contract)<<24)
	require.NoError(t, switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Switch, switchover.Options{}))

	b.client(config("one", b.worker(oneStatement)))
	results, err := tandemriver.Enqueue(b.ctx, b.inserter(), b.pair.Name(), tandemriver.EnqueueOptions{Reverse: true})
	require.NoError(t, err)
	job := b.is(results[0].Job, rivertype.JobStateCompleted)
	require.Equal(t, tandemriver.Output{Rows: 1000}, output(t, job))
	require.GreaterOrEqual(t, snoozes(job), int64(4), "two stripes of two partitions")
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE user_name IS DISTINCT FROM 'new ' || id`))
}
