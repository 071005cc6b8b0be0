package server_test

import (
	"context"
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/server"
)

// noEngine is where no Docker engine listens.
const noEngine = "unix:///nonexistent/docker.sock"

// only sets the environment for one way, whatever the test run was given.
func only(t *testing.T, way string) {
	t.Helper()
	t.Setenv("TANDEM_SERVER", way)
	t.Setenv("TANDEM_DSN", "")
}

// start starts a server of one way. A way that this machine does not have is
// skipped on a laptop.
func start(t *testing.T, way string, opts server.Options) *server.Server {
	t.Helper()
	only(t, way)
	srv, err := server.Start(deadline(t), opts)
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

// deadline bounds what waits for a server.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// query returns the one text that a query on the database at dsn gives.
func query(t *testing.T, dsn, q string) (string, error) {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var value string
	err = db.QueryRowContext(deadline(t), q).Scan(&value)
	return value, err
}

// requireText checks what a query on the server gives.
func requireText(t *testing.T, srv *server.Server, q, want string) {
	t.Helper()
	got, err := query(t, srv.DSN(""), q)
	require.NoError(t, err)
	require.Equal(t, want, got, q)
}

// requireSettings checks that a started server has the settings, those of the
// test included.
func requireSettings(t *testing.T, srv *server.Server) {
	t.Helper()
	requireText(t, srv, `SHOW fsync`, "off")
	requireText(t, srv, `SHOW full_page_writes`, "on")
	requireText(t, srv, `SHOW wal_level`, "logical")
	requireText(t, srv, `SHOW max_connections`, "33")
	requireText(t, srv, `SHOW server_encoding`, "UTF8")
	requireText(t, srv, `SELECT datcollate FROM pg_database WHERE datname = 'template0'`, "C")
}

func TestDocker(t *testing.T) {
	var log strings.Builder
	srv := start(t, "docker", server.Options{Log: &log, Settings: map[string]string{"max_connections": "33"}})
	require.Regexp(t, `^docker postgres:\d+$`, srv.Description())
	require.Equal(t, "server: "+srv.Description()+"\n", log.String())
	requireSettings(t, srv)
	requireText(t, srv, `SHOW data_directory`, "/tandem/data")

	require.False(t, srv.Local())
	require.ErrorIs(t, srv.Kill(t.Context()), server.ErrNotLocal)
	require.ErrorIs(t, srv.Restart(t.Context()), server.ErrNotLocal)

	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close())
	_, err := query(t, srv.DSN(""), `SELECT 1`)
	require.ErrorContains(t, err, "connection refused")
}

func TestDockerSaysWhyTheServerExited(t *testing.T) {
	start(t, "docker", server.Options{}) // skips without an engine
	_, err := server.Start(deadline(t), server.Options{Settings: map[string]string{"no_such": "1"}})
	require.ErrorContains(t, err, "docker")
	require.ErrorContains(t, err, "the server exited")
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such"`)
}

func TestDSN(t *testing.T) {
	first := start(t, "local", server.Options{})
	t.Setenv("TANDEM_SERVER", "")
	t.Setenv("TANDEM_DSN", first.DSN("template1"))
	srv, err := server.Start(deadline(t), server.Options{})
	require.NoError(t, err)
	require.Equal(t, "TANDEM_DSN", srv.Description())
	require.False(t, srv.Local())
	requireText(t, srv, `SELECT current_database()`, "template1")
	require.NoError(t, srv.Close())
	requireText(t, first, `SELECT current_database()`, "postgres")
}

func TestDSNThatRefusesIsNotPassedOver(t *testing.T) {
	first := start(t, "local", server.Options{})
	t.Setenv("TANDEM_SERVER", "")
	t.Setenv("TANDEM_DSN", first.DSN("missing"))
	_, err := server.Start(deadline(t), server.Options{})
	require.ErrorContains(t, err, `TANDEM_DSN: pq: database "missing" does not exist`)
}

func TestFallThrough(t *testing.T) {
	start(t, "local", server.Options{})
	t.Run("no engine", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", noEngine)
		srv := start(t, "", server.Options{})
		require.True(t, srv.Local())
	})
	t.Run("no image", func(t *testing.T) {
		t.Setenv("TANDEM_IMAGE", "localhost:1/no/such:image")
		srv := start(t, "", server.Options{})
		require.True(t, srv.Local())
	})
}

func TestErrorNamesEachWay(t *testing.T) {
	only(t, "")
	t.Setenv("DOCKER_HOST", noEngine)
	// Binaries are found without PATH too: let those that are there fail.
	_, err := server.Start(deadline(t), server.Options{Settings: map[string]string{"no_such": "1"}})
	require.Error(t, err)
	want := regexp.MustCompile(`(?s)^server: no PostgreSQL server, give one of three: ` +
		`\(1\) TANDEM_DSN is not set: .*; \(2\) docker: no engine answers at .*; \(3\) local binaries.*: .*$`)
	require.Regexp(t, want, err.Error())
}

func TestForcedWay(t *testing.T) {
	for way, want := range map[string]string{
		"dsn":    `server: TANDEM_SERVER=dsn: TANDEM_DSN is not set`,
		"docker": `server: TANDEM_SERVER=docker: docker: no engine answers at ` + noEngine,
		"other":  `server: TANDEM_SERVER="other" is none of dsn, docker, local`,
	} {
		t.Run(way, func(t *testing.T) {
			only(t, way)
			t.Setenv("DOCKER_HOST", noEngine)
			_, err := server.Start(deadline(t), server.Options{})
			require.ErrorContains(t, err, want)
		})
	}
}

func TestContextEnds(t *testing.T) {
	only(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := server.Start(ctx, server.Options{})
	require.ErrorIs(t, err, context.Canceled)
}
