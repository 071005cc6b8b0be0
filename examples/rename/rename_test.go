package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// program is one run of the built program.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func newProgram(t *testing.T, dsn string, args ...string) *program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "rename")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := &program{cmd: exec.CommandContext(t.Context(), binary, args...)}
	p.cmd.Env = append(os.Environ(), "TANDEM_SERVER=dsn", "TANDEM_DSN="+dsn)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p
}

// code runs the program to its end.
func (p *program) code(t *testing.T) int {
	t.Helper()
	err := p.cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err, "%s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// databases are those that the program has made and not dropped.
func (p *program) databases(t *testing.T, db *sqlx.DB) (names []string) {
	t.Helper()
	require.NoError(t, db.Select(&names, `SELECT datname FROM pg_database WHERE datname LIKE format('tandem_rename_%s_%%', $1::int)`, p.cmd.Process.Pid))
	return names
}

func TestProgramJSON(t *testing.T) {
	t.Parallel()
	p := newProgram(t, pgtest.DSN(t), "-rows", "5000", "-seconds", "8", "-json")
	code := p.code(t)
	story := p.stderr.String()
	require.Zero(t, code, "%s%s", story, p.stdout.String())

	var got map[string]any
	decoder := json.NewDecoder(&p.stdout)
	require.NoError(t, decoder.Decode(&got))
	require.ErrorIs(t, decoder.Decode(&got), io.EOF, "one object and nothing else")
	require.ElementsMatch(t, []string{"rows", "operations", "errors", "lost_writes", "differences", "phase", "longest_stall_ms", "seconds"}, keys(got))
	require.EqualValues(t, 5000, got["rows"])
	require.Greater(t, got["operations"], 1000.0)
	require.Zero(t, got["errors"])
	require.Zero(t, got["lost_writes"])
	require.Zero(t, got["differences"])
	require.Equal(t, "Complete", got["phase"])
	require.Greater(t, got["longest_stall_ms"], 0.0)
	require.Greater(t, got["seconds"], 8.0)
	for _, line := range []string{"refused", "rows copied", "Switch: all is well", "Complete: drop user_name"} {
		require.Contains(t, story, line)
	}
}

func TestProgramPlain(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	p := newProgram(t, dsn, "-rows", "200", "-seconds", "1")
	require.Zero(t, p.code(t), "%s%s", p.stderr.String(), p.stdout.String())
	require.Equal(t, 3, strings.Count(p.stdout.String(), "proved: "), p.stdout.String())
	require.NotContains(t, p.stdout.String(), "\r", "bars are for terminals")
	require.Empty(t, p.databases(t, pgtest.Open(t, dsn)), "it drops its database")
}

// Ctrl-C in the middle ends the services and drops the database.
func TestProgramInterrupted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no interrupt to send to a process")
	}
	db := pgtest.New(t)
	p := newProgram(t, pgtest.DSN(t), "-rows", "200", "-seconds", "600", "-json")
	require.NoError(t, p.cmd.Start())
	require.Eventually(t, func() bool {
		var services int
		err := db.Get(&services, `SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE datname = ANY ($1) AND application_name <> 'operator'`,
			pq.Array(p.databases(t, db)))
		return err == nil && services == 5
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	require.Error(t, p.cmd.Wait())
	require.Equal(t, 1, p.cmd.ProcessState.ExitCode(), p.stderr.String())
	require.Contains(t, p.stdout.String(), `"phase":"Start"`)
	require.Empty(t, p.databases(t, db), "it drops its database")
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-rows", "0"}, {"-rows", "99"}, {"-rows", "many"}, {"-seconds", "0"}, {"-seconds", "-3"}, {"-fast"}, {"now"}} {
		stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		require.NoError(t, err)
		require.Equal(t, 2, run(args, nil, stderr), "%v", args)
		text, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		require.Contains(t, string(text), "rename", "%v", args)
		require.NoError(t, stderr.Close())
	}
}

func keys(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}
