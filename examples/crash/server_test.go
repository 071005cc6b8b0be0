package crash_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/server"
)

// mortal is a server that is killed again and again.
type mortal struct {
	srv  *server.Server
	back chan error // of the restart
}

// mortalSettings: a client that has connected and sent nothing yet, when the server is told to end, holds up the end until authentication_timeout.
var mortalSettings = map[string]string{"authentication_timeout": "1s", "shared_buffers": "64MB"}

// newMortal starts one from local binaries, whatever server the other tests use.
func newMortal(t *testing.T) *mortal {
	t.Helper()
	srv, err := server.StartLocal(t.Context(), server.Options{Settings: mortalSettings})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return &mortal{srv: srv, back: make(chan error, 1)}
}

// crash returns when the server is dead. It comes back while the clients find that out.
func (m *mortal) crash() {
	ctx, cancel := context.WithTimeout(context.Background(), waitTime)
	if err := m.srv.Kill(ctx); err != nil {
		cancel()
		m.back <- err
		return
	}
	go func() {
		defer cancel()
		m.back <- m.srv.Restart(ctx)
	}()
}

// kill lets the server die at a message of the operation, which mends that itself or says what it was about.
func (m *mortal) kill(t *testing.T, p point, dsn string) (reached bool) {
	t.Helper()
	w := &wire{at: p.at, when: p.when, crash: m.crash}
	db, err := open(dsn, w)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	err = p.do(ctx, db)
	_ = db.Close() // its connections may be gone
	if !w.crashed.Load() {
		require.NoError(t, err)
		return false
	}
	require.NoError(t, <-m.back)
	if err != nil {
		require.ErrorContains(t, err, fullName.Name())
	}
	return true
}

// The server is killed as by pg_ctl stop -m immediate, and recovers.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	m := newMortal(t)
	c := &campaign{T: t, srv: m.srv, kill: m.kill, settle: true}
	c.run()
	require.Positive(t, c.tally.unknown, "no writer was hit")
}
