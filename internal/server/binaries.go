package server

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binaries returns the folder of the PostgreSQL binaries to use.
func binaries(ctx context.Context) (string, error) {
	for _, dir := range folders(ctx) {
		if program(dir, "postgres") && program(dir, "initdb") {
			return dir, nil
		}
	}
	return "", errors.New("no postgres with initdb in PATH, pg_config --bindir or /usr/lib/postgresql/*/bin (install PostgreSQL)")
}

// folders returns where the binaries may be, best first.
func folders(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link in PATH usually stands alone; initdb is beside its target.
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return major(b) - major(a) })
	return append(dirs, debian...)
}

// major returns 15 for /usr/lib/postgresql/15/bin.
func major(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// program reports whether dir has the program.
func program(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// version returns 15.18 for "postgres (PostgreSQL) 15.18 (Debian 15.18-0)".
func version(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(out), ") ")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	return number, nil
}
