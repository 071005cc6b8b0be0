package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
)

// Runners share a pass: the second works on what the first has not claimed, and both end when all is done.
func TestRunnersShare(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(60_000), p)
			b.exec(writtenOnceSQL)
			begun, go1, first := make(chan struct{}), make(chan struct{}), make(chan backfill.Result, 1)
			go func() {
				held := false
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Workers: 2, Progress: func(backfill.Progress) {
					if !held { // its other worker waits for this call too
						held = true
						close(begun)
						<-go1
					}
				}})
				assert.NoError(t, err)
				first <- res
			}()
			<-begun
			require.Positive(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`))
			released := false
			res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Progress: func(backfill.Progress) {
				if !released && b.number(`SELECT count(*) FROM tandem.range WHERE NOT done AND owner = ''`) == 0 {
					released = true
					close(go1)
				}
			}})
			require.NoError(t, err)
			require.True(t, res.Resumed)
			require.True(t, res.Done)
			one := <-first
			require.True(t, one.Done)
			require.Positive(t, res.Rows)
			require.Positive(t, one.Rows)
			require.EqualValues(t, 60_000, res.Rows+one.Rows)
			require.Equal(t, 60_000, b.number(`SELECT count(*) FROM written`))
			b.verified(60_000)
		})
	}
}

// A worker whose range was taken over writes nothing more there, in no kind of pass, and leaves the claim alone.
func TestTakenRange(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.exec(writtenOnceSQL)
			calls := 0
			take := func(backfill.Progress) {
				if calls++; calls == 1 { // and the other has died since
					b.exec(`UPDATE tandem.range SET token = nextval('tandem.token'), owner = 'another', seen_at = seen_at - interval '11 s', rows = rows + 7`)
				}
			}
			res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: take})
			require.NoError(t, err)
			require.EqualValues(t, 1000, res.Rows)
			require.Equal(t, 1000, b.number(`SELECT count(*) FROM written`))
			require.Equal(t, 1007, b.number(`SELECT rows FROM tandem.backfill WHERE kind = 'copy'`), "what the other has saved is gone on from")

			// the whole pass is another's
			_, err = backfill.Verify(t.Context(), b.db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: func(backfill.Progress) {
				b.exec(`DELETE FROM tandem.backfill WHERE kind = 'verify'`)
			}})
			require.ErrorIs(t, err, backfill.ErrTaken)
			require.Zero(t, b.number(`SELECT count(finished_at) FROM tandem.backfill WHERE kind = 'verify'`))
		})
	}
}
