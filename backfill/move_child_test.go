package backfill_test

import (
	"bufio"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
)

// As TestKilledProcess: rows and position are one commit in two tables as well.
func TestMoveKilledProcess(t *testing.T) {
	t.Parallel()
	b := newBed(t, bioSQL(1000), bio)
	release := b.lock(`SELECT FROM users WHERE id BETWEEN 101 AND 200 FOR UPDATE`)
	t.Cleanup(release)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+b.dsn+" application_name=child", childPair+"=moved")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 2 { // the first window
		require.True(t, lines.Scan())
	}
	b.eventually(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO public.profiles%'`)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	release()
	require.Equal(t, 900, b.number(unmoved))
	require.Equal(t, 100, b.number(`SELECT rows FROM tandem.range`))
	b.exec(`UPDATE tandem.range SET seen_at = seen_at - interval '11 s'`) // its lease is over
	res, err := backfill.Run(t.Context(), b.db, bio, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9})
	require.NoError(t, err)
	require.True(t, res.Resumed)
	require.EqualValues(t, 900, res.Rows)
	require.Zero(t, b.number(unmoved)+b.number(apart))
	b.verified(1000)
}
