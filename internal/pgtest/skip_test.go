package pgtest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs one test of this binary on a machine without a server.
func run(t *testing.T, ci string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestServerIsShared$")
	cmd.Env = append(os.Environ(), "CI="+ci, "TANDEM_SERVER=docker", "DOCKER_HOST=unix:///nonexistent/docker.sock")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestNoServerSkipsOnALaptop(t *testing.T) {
	t.Parallel()
	out, err := run(t, "")
	require.NoError(t, err, out)
	require.Contains(t, out, "pgtest: server: TANDEM_SERVER=docker: docker: no engine answers at")
	require.Contains(t, out, "--- SKIP: TestServerIsShared")
}

func TestNoServerFailsInCI(t *testing.T) {
	t.Parallel()
	out, err := run(t, "true")
	require.Error(t, err, out)
	require.Contains(t, out, "pgtest: server: TANDEM_SERVER=docker: docker: no engine answers at")
	require.Contains(t, out, "--- FAIL: TestServerIsShared")
}
