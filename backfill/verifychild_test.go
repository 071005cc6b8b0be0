package backfill_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// childVerifies makes the child verify: after so many statements it prints a line, and waits for one.
const childVerifies = "TANDEM_BACKFILL_VERIFIES"

func verifyingChild(db *sqlx.DB, p expand.Any) error {
	left := 0
	if _, err := fmt.Sscan(os.Getenv(childVerifies), &left); err != nil {
		return err
	}
	report, err := backfill.Verify(context.Background(), db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: func(backfill.Progress) {
		if left--; left == 0 {
			fmt.Println("stands")
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		}
	}})
	fmt.Println(report.Rows, report.Differences, len(report.Keys))
	return err
}

// verifying starts a child that stands after some statements.
func (b *bed) verifying(name, statements string) (cmd *exec.Cmd, in io.Writer, lines *bufio.Scanner) {
	b.Helper()
	cmd = exec.CommandContext(b.ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+b.dsn, childPair+"="+name, childVerifies+"="+statements)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	in, err = cmd.StdinPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	lines = bufio.NewScanner(out)
	require.True(b, lines.Scan())
	require.Equal(b, "stands", lines.Text())
	return cmd, in, lines
}

// What a killed verification had counted and listed is kept: the next goes on, and does not compare it again.
func TestKilledVerify(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.run()
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id IN (1, 150, 301, 1000)`)
			cmd, _, _ := b.verifying(name, "3")
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			require.Equal(t, []string{"300 2"}, b.texts(`SELECT rows || ' ' || differences FROM tandem.range`))
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id = 2`) // behind it: seen only by one that begins anew
			b.exec(`UPDATE tandem.range SET seen_at = seen_at - interval '11 s'`)

			o := backfill.VerifyOptions{Batch: 100, Target: 10e9}
			report, err := backfill.Verify(b.ctx, b.db, p, o)
			require.NoError(t, err)
			requireReport(t, backfill.Report{Rows: 1000, Differences: 4, Keys: [][]string{{"1"}, {"150"}, {"301"}, {"1000"}}}, report)

			// one that has rested for an hour is begun anew
			cmd, _, _ = b.verifying(name, "3")
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id = 3`)
			b.exec(`UPDATE tandem.range SET seen_at = seen_at - interval '61 min'`)
			b.exec(`UPDATE tandem.backfill SET updated_at = updated_at - interval '61 min' WHERE kind = 'verify'`)
			report, err = backfill.Verify(b.ctx, b.db, p, o)
			require.NoError(t, err)
			requireReport(t, backfill.Report{Rows: 1000, Differences: 6, Keys: [][]string{{"1"}, {"2"}, {"3"}, {"150"}, {"301"}, {"1000"}}}, report)
		})
	}
}

// Two processes share a verification, and both report the whole.
func TestVerifiersShare(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(60_000), p)
			b.run2()
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id IN (1, 60000)`)
			cmd, in, lines := b.verifying(name, "1")
			released := false
			report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Progress: func(backfill.Progress) {
				if !released && b.number(`SELECT count(*) FROM tandem.range WHERE NOT done AND owner = ''`) == 0 {
					released = true
					_, _ = fmt.Fprintln(in)
				}
			}})
			require.NoError(t, err)
			require.True(t, released)
			require.EqualValues(t, 60_000, report.Rows)
			require.EqualValues(t, 2, report.Differences)
			require.Len(t, report.Keys, 2)
			require.True(t, lines.Scan())
			require.Equal(t, "60000 2 2", lines.Text())
			require.NoError(t, cmd.Wait())
			require.Len(t, b.texts(`SELECT detail FROM tandem.event WHERE kind = 'verify'`), 1)
		})
	}
}

// run2 is a Run of usual windows.
func (b *bed) run2() {
	b.Helper()
	_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.NoError(b, err)
}
