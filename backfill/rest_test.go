package backfill_test

import (
	"bufio"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
)

const blocked = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock'`

// A worker that tries again and again to write a row that somebody has locked hears of a pause, and of the end, between two attempts.
func TestPauseBetweenAttempts(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			release := b.lock(`SELECT FROM users WHERE id BETWEEN 101 AND 150 FOR UPDATE`)
			t.Cleanup(release)
			held, done := make(chan string, 1), make(chan error, 1)
			go func() {
				_, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
					if p.Held != "" {
						select {
						case held <- p.Held:
						default:
						}
					}
				}})
				done <- err
			}()
			b.eventually(blocked)
			require.NoError(t, backfill.Pause(b.ctx, b.db, p.Name()))
			select { // the row is still locked
			case why := <-held:
				require.Contains(t, why, "paused by ")
			case err := <-done:
				require.NoError(t, err, "it gave up")
			}
			require.Equal(t, 100, b.number(stamped))
			require.Zero(t, b.number(blocked))
			require.NoError(t, backfill.Resume(b.ctx, b.db, p.Name()))
			b.eventually(blocked)
			require.NoError(t, backfill.Cancel(b.ctx, b.db, p.Name()))
			require.ErrorIs(t, <-done, backfill.ErrCancelled)
			require.Equal(t, 100, b.number(stamped))
		})
	}
}

// A call that is refused begins nothing, and leaves what a verification has found.
func TestCancelledCallsBeginNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), fullName)
	require.NoError(t, backfill.Cancel(b.ctx, b.db, b.pair.Name()))
	_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.ErrorIs(t, err, backfill.ErrCancelled)
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.backfill`))
	require.NoError(t, backfill.Resume(b.ctx, b.db, b.pair.Name()))
	b.run()
	b.verified(100)
	const verified = `SELECT finished_at::text FROM tandem.backfill WHERE kind = 'verify'`
	before := b.texts(verified)
	require.Len(t, before, 1)
	require.NoError(t, backfill.Cancel(b.ctx, b.db, b.pair.Name()))
	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.ErrorIs(t, err, backfill.ErrCancelled)
	require.Equal(t, before, b.texts(verified))
	_, err = backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.ErrorIs(t, err, backfill.ErrCancelled, "also where there is nothing to do")
}

// A pause that outlasts the call's time lets no statement through at its end.
func TestForIsOverWhilePaused(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), fullName)
	require.NoError(t, backfill.Pause(b.ctx, b.db, b.pair.Name()))
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{For: 300 * time.Millisecond})
	require.NoError(t, err)
	require.False(t, res.Done)
	require.Zero(t, b.number(stamped))
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`))
}

// A paused process that is killed is taken over, and its work stays paused.
func TestKilledWhilePaused(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			require.NoError(t, backfill.Pause(b.ctx, b.db, p.Name()))
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+b.dsn, childPair+"="+name)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			require.True(t, bufio.NewScanner(out).Scan(), "it rests")
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			b.exec(`UPDATE tandem.range SET seen_at = seen_at - interval '11 s'`) // its lease is over
			held, done := make(chan string), make(chan backfill.Result, 1)
			var once sync.Once
			go func() {
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Progress: func(p backfill.Progress) {
					once.Do(func() { held <- p.Held })
				}})
				assert.NoError(t, err)
				done <- res
			}()
			require.Contains(t, <-held, "paused by ")
			require.Zero(t, b.number(stamped))
			require.NoError(t, backfill.Resume(b.ctx, b.db, p.Name()))
			res := <-done
			require.True(t, res.Resumed)
			require.EqualValues(t, 1000, res.Rows)
		})
	}
}

// Each of two processes hears of the end, and neither of them sees the progress go back.
func TestProgressOfTwoProcesses(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(20_000), fullName)
	var wg sync.WaitGroup
	seen := make([][]backfill.Progress, 2)
	for i := range seen {
		wg.Go(func() {
			_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 200, Rate: 20_000, Progress: func(p backfill.Progress) { seen[i] = append(seen[i], p) }})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for _, list := range seen {
		require.NotEmpty(t, list)
		require.True(t, list[len(list)-1].Done)
		for i := 1; i < len(list); i++ {
			require.GreaterOrEqual(t, list[i].Rows, list[i-1].Rows)
			require.LessOrEqual(t, list[i].Rows, list[i].Total)
		}
	}
}
