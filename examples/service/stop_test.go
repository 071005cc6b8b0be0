package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

const (
	waitTime = time.Minute
	pollTime = 5 * time.Millisecond
)

// A request that has begun when SIGTERM comes is answered, also when it takes long; new ones are not accepted. The process leaves and exits with 0.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	require.NoError(t, createTable(t.Context(), db, 10))
	p, err := startProcess(t.Context(), paired, server.With(dsn, "", "application_name=backend"))
	require.NoError(t, err)
	members := func() (n int) {
		require.NoError(t, db.Get(&n, `SELECT count(*) FROM tandem.member`))
		return n
	}
	require.Equal(t, 1, members())

	tx := db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`SELECT FROM users WHERE id = 3 FOR UPDATE`)
	type reply struct {
		status int
		err    error
	}
	replied := make(chan reply, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPut, "http://"+p.address+"/users/3/name", strings.NewReader(`"Ada"`))
		if err != nil {
			replied <- reply{err: err}
			return
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			replied <- reply{err: err}
			return
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		replied <- reply{answer.StatusCode, err}
	}()
	require.Eventually(t, func() bool {
		var n int
		err := db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backend' AND wait_event_type = 'Lock' AND datname = current_database()`)
		return err == nil && n == 1
	}, waitTime, pollTime)

	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, waitTime, pollTime, "it listens no more")
	require.Equal(t, 1, members(), "its request runs")
	require.NoError(t, tx.Commit())
	require.Equal(t, reply{status: http.StatusOK}, <-replied)
	require.NoError(t, <-stopped)
	require.Zero(t, members())
	var name string
	require.NoError(t, db.Get(&name, `SELECT user_name FROM users WHERE id = 3`))
	require.Equal(t, "Ada", name)
}

func TestKilledBackendIsAnError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	p, err := startProcess(t.Context(), before, dsn)
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Kill())
	require.ErrorContains(t, p.stop(), "killed")
	_, err = startProcess(t.Context(), "no such release", dsn)
	require.ErrorContains(t, err, "exit status 1")
}

func TestReady(t *testing.T) {
	t.Parallel()
	for ready, want := range map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		routes(nil, func() bool { return ready }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", nil))
		require.Equal(t, want, w.Code)
	}
}

// The balancer goes round, and does not try again what a backend has broken off.
func TestBalancerTriesOnce(t *testing.T) {
	t.Parallel()
	l := newBalancer()
	w := httptest.NewRecorder()
	l.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/users", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "no backend")

	var good, bad atomic.Int64
	for count, fail := range map[*atomic.Int64]bool{&good: false, &bad: true} {
		backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ready" {
				return
			}
			count.Add(1)
			if fail {
				panic(http.ErrAbortHandler)
			}
		}))
		t.Cleanup(backend.Close)
		require.NoError(t, l.take(t.Context(), backend.Listener.Addr().String()))
	}
	codes := map[int]int{}
	for range 10 {
		w := httptest.NewRecorder()
		l.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/users", nil))
		codes[w.Code]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 5, http.StatusBadGateway: 5}, codes)
	require.Equal(t, [2]int64{5, 5}, [2]int64{good.Load(), bad.Load()})
}
