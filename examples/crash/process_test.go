package crash_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

// Variables that make this binary an operator in a process of its own, who is killed.
const (
	dsnVariable    = "TANDEM_CRASH_DSN"
	stepVariable   = "TANDEM_CRASH_STEP"   // index in walk
	atVariable     = "TANDEM_CRASH_AT"     // number of the message
	momentVariable = "TANDEM_CRASH_MOMENT" // as a number
)

// child does an operation and is killed at a message.
func child(dsn string) int {
	if err := operate(dsn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func operate(dsn string) error {
	var numbers [3]int
	for i, name := range []string{stepVariable, atVariable, momentVariable} {
		var err error
		if numbers[i], err = strconv.Atoi(os.Getenv(name)); err != nil {
			return err
		}
	}
	db, err := open(dsn, &wire{at: int64(numbers[1]), when: moment(numbers[2]), crash: suicide})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTime)
	defer cancel()
	return walk[numbers[0]].do(ctx, db)
}

// suicide ends the process as SIGKILL does: nothing is cleaned up, nothing more is sent.
func suicide() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // the signal comes
}

const childName = "crashing operator"

// killProcess runs the operation in a child that is killed. If the child comes through, there is no such message.
func killProcess(t *testing.T, p point, dsn string) (reached bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), dsnVariable+"="+server.With(dsn, "", "application_name="+childName), stepVariable+"="+strconv.Itoa(p.step),
		atVariable+"="+strconv.FormatInt(p.at, 10), momentVariable+"="+strconv.Itoa(int(p.when)))
	_, err := cmd.Output()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, -1, exit.ExitCode(), "it ended by itself: %s", exit.Stderr) // -1: by a signal
	return true
}

// gone waits until the server has noticed that a killed process is no more: its last statement may still run.
func gone(t *testing.T, db *sqlx.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := db.GetContext(t.Context(), &n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`, childName)
		return err == nil && n == 0
	}, waitTime, pollTime)
}

// The process of the operator is killed with SIGKILL.
func TestProcessKilled(t *testing.T) {
	t.Parallel()
	c := &campaign{T: t, srv: pgtest.Server(t), kill: killProcess}
	c.run()
	require.Zero(t, c.tally.unknown, "no writer loses a connection")
}
