package vet_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// shop is a module of an application.
var shop = map[string]string{
	"go.mod": "module shop\n\ngo 1.25\n",
	"shop.go": `package shop

import "database/sql"

func Users(db *sql.DB) (*sql.Rows, error) {
	return db.Query("SELECT * FROM users")
}

func Save(db *sql.DB, name string) error {
	_, err := db.Exec("UPDATE users SET user_name = $1", name)
	return err
}

func Orders(db *sql.DB) (*sql.Rows, error) {
	return db.Query("SELECT * FROM orders") //tandem:ignore the export takes what there is
}
`,
	"shop_test.go":   "package shop\n\nvar seed = `\n\tINSERT INTO users VALUES (1)`\n",
	"clean/clean.go": "package clean\n\nconst Query = `SELECT id FROM users`\n",
}

// The command alone and under go vet, on a module, without the network.
func TestCommand(t *testing.T) {
	t.Parallel()
	command, dir := build(t), t.TempDir()
	for name, content := range shop {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	for name, c := range map[string]struct {
		args     []string
		code     int // of the command alone; go vet's is 1
		findings []string
	}{
		"all":     {[]string{"./..."}, 3, []string{"shop.go:6:26: select-star", "shop_test.go:4:14: insert-without-columns"}},
		"clean":   {[]string{"./clean"}, 0, nil},
		"others":  {[]string{"-tandem.tables=orders,public.items", "./..."}, 0, nil},
		"again":   {[]string{"-tandem.tables=users", "-tandem.tables=orders", "./..."}, 0, nil},
		"limited": {[]string{"-tandem.tables=public.users", "./..."}, 3, []string{"shop.go:6:26: select-star", "shop_test.go:4:14: insert-without-columns"}},
		"columns": {[]string{"-tandem.tables=orders", "-tandem.columns=users.user_name", "./..."}, 3, []string{"shop.go:10:38: old-column"}},
		"no list": {[]string{"-tandem.columns=user_name", "./..."}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, code := run(t, dir, command, c.args...)
			require.Equal(t, c.code, code, text)
			require.Equal(t, c.findings, findings(text), text)
			text, code = run(t, dir, "go", append([]string{"vet", "-vettool=" + command}, c.args...)...)
			require.Equal(t, min(c.code, 1), code, text)
			require.Equal(t, c.findings, findings(text), text)
			if c.code == 2 {
				require.Contains(t, text, `"user_name" is not a column with its table`)
			}
		})
	}
}

// What Tandem itself sends to a server, and its programs to copy from, stand what it does to a table.
func TestThisRepository(t *testing.T) {
	t.Parallel()
	command := build(t)
	for _, dir := range []string{"../..", "../../switchover/openfeature", "."} {
		text, code := run(t, dir, command, "-test=false", "./...")
		require.Empty(t, text, dir)
		require.Zero(t, code, dir)
	}
}

// build is the file of the command.
func build(t *testing.T) string {
	t.Helper()
	command := filepath.Join(t.TempDir(), "tandemvet")
	out, err := exec.Command("go", "build", "-o", command, "./cmd/tandemvet").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return command
}

// run is the output of a command and its exit code.
func run(t *testing.T, dir, name string, args ...string) (text string, code int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err, "%s", out)
		return string(out), 0
	}
	return string(out), exit.ExitCode()
}

var finding = regexp.MustCompile(`(?m)^(?:\S*/)?(\S+\.go:\d+:\d+: [a-z-]+): .*; .*: name the columns|^(?:\S*/)?(\S+\.go:\d+:\d+: old-column): .*$`)

// findings are the places and names of the findings, each once: with tests, a package is looked at twice.
func findings(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range finding.FindAllStringSubmatch(text, -1) {
		if f := m[1] + m[2]; !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}
