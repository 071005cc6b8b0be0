//go:build unix

package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/server"
)

// holdVariable makes the test binary a process that holds a server and waits
// to be killed.
const holdVariable = "TANDEM_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) == "" {
		os.Exit(m.Run())
	}
	srv, err := server.Start(context.Background(), server.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(srv.DSN(""))
	select {}
}

// folderOf returns the folder of a server, and the process in it.
func folderOf(t *testing.T, dsn string) (folder string, pid int) {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(dsn, "host="), " ")
	text, err := os.ReadFile(filepath.Join(host, "data", "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err = strconv.Atoi(first)
	require.NoError(t, err)
	return host, pid
}

// gone reports whether there is no such process.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestLocal(t *testing.T) {
	var log strings.Builder
	srv := start(t, "local", server.Options{Log: &log, Settings: map[string]string{"max_connections": "33"}})
	require.Regexp(t, `^local binaries \d+\.\d+$`, srv.Description())
	require.Equal(t, "server: "+srv.Description()+"\n", log.String())
	require.True(t, srv.Local())
	requireSettings(t, srv)
	folder, pid := folderOf(t, srv.DSN(""))

	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close())
	require.True(t, gone(pid))
	require.NoDirExists(t, folder)
}

func TestKillAndRestart(t *testing.T) {
	srv := start(t, "local", server.Options{})
	ctx := deadline(t)
	require.ErrorContains(t, srv.Restart(ctx), "already running")
	requireText(t, srv, `CREATE TABLE kept (a) AS SELECT 'row'; SELECT a FROM kept`, "row")

	for range 2 {
		_, pid := folderOf(t, srv.DSN(""))
		require.NoError(t, srv.Kill(ctx))
		require.True(t, gone(pid))
		require.ErrorContains(t, srv.Kill(ctx), "does not run")
		_, err := query(t, srv.DSN(""), `SELECT a FROM kept`)
		require.Error(t, err)

		require.NoError(t, srv.Restart(ctx))
		requireText(t, srv, `SELECT a FROM kept`, "row")
	}
	folder, _ := folderOf(t, srv.DSN(""))
	require.NoError(t, srv.Kill(ctx))
	require.NoError(t, srv.Close())
	require.NoDirExists(t, folder)
}

func TestLocalSaysWhyTheServerExited(t *testing.T) {
	start(t, "local", server.Options{}) // skips without binaries
	_, err := server.Start(deadline(t), server.Options{Settings: map[string]string{"no_such": "1"}})
	require.ErrorContains(t, err, "local binaries")
	require.ErrorContains(t, err, "the server exited")
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such"`)
}

func TestServerEndsWithAKilledProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	start(t, "local", server.Options{}) // skips without binaries
	cmd := exec.CommandContext(deadline(t), os.Args[0])
	cmd.Env = append(os.Environ(), holdVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dsn, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	folder, pid := folderOf(t, dsn)
	require.False(t, gone(pid))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return gone(pid) }, time.Minute, 10*time.Millisecond)

	// the server of another test may have removed it already
	start(t, "local", server.Options{})
	require.NoDirExists(t, folder, "the next server removes what the killed process left")
}
