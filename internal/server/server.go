package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Ways that TANDEM_SERVER can force.
const (
	wayDSN    = "dsn"
	wayDocker = "docker"
	wayLocal  = "local"
)

// ErrNotLocal is the error of Kill and Restart for a server that is not run
// from local binaries.
var ErrNotLocal = errors.New("server: only local binaries can be killed and restarted, set TANDEM_SERVER=local")

// Options say how Start starts a server.
type Options struct {
	// Settings are server settings beyond, or instead of, those that Start
	// chooses. A server named by TANDEM_DSN ignores them. Defaults to none.
	Settings map[string]string

	// Env is added to the environment of local binaries, as KEY=value: a test
	// preloads a library that makes their clock another one. A standby does
	// not get it. Defaults to none.
	Env []string

	// Log gets one line that says which way was taken, and one before an
	// image is pulled. Defaults to none.
	Log io.Writer
}

// Server is a running PostgreSQL server. Close it when done. Its methods may
// be called from several goroutines.
type Server struct {
	description string
	dsn         string // of the database that every server of this way has
	local       *local // nil but for local binaries
	stop        func() error

	closing  sync.Once
	closeErr error
}

// Start finds or starts a server and returns when it takes connections.
//
// It returns the error of ctx, the error of the server that TANDEM_DSN names
// if that does not answer (no other is tried: it was asked for), or one error
// that says for each way why it could not be taken.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	only := os.Getenv("TANDEM_SERVER")
	ways, err := allowed(only)
	if err != nil {
		return nil, err
	}
	var reasons []error
	for _, w := range ways {
		s, err := w.start(ctx, opts)
		if err == nil {
			_, _ = fmt.Fprintf(opts.Log, "server: %s\n", s.description)
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("server: %w: %w", err, ctx.Err())
		}
		if w.name == wayDSN && os.Getenv("TANDEM_DSN") != "" {
			return nil, fmt.Errorf("server: %w", err)
		}
		reasons = append(reasons, err)
	}
	if only != "" {
		return nil, fmt.Errorf("server: TANDEM_SERVER=%s: %w", only, reasons[0])
	}
	return nil, fmt.Errorf("server: no PostgreSQL server, give one of three: %w", list(reasons))
}

// way is one way to get a server.
type way struct {
	name  string
	start func(context.Context, Options) (*Server, error)
}

// allowed returns the ways to try, in order.
func allowed(only string) ([]way, error) {
	all := []way{{wayDSN, startDSN}, {wayDocker, startDocker}, {wayLocal, startLocal}}
	if only == "" {
		return all, nil
	}
	for _, w := range all {
		if w.name == only {
			return []way{w}, nil
		}
	}
	return nil, fmt.Errorf("server: TANDEM_SERVER=%q is none of dsn, docker, local", only)
}

// list makes one numbered line of errors.
func list(errs []error) error {
	var all error
	for i, err := range errs {
		if all == nil {
			all = fmt.Errorf("(%d) %w", i+1, err)
			continue
		}
		all = fmt.Errorf("%w; (%d) %w", all, i+1, err)
	}
	return all
}

// DSN returns a DSN of the database for lib/pq, psql and PgBouncer, with the
// params added ("application_name=loader"). The database need not exist. An
// empty name means the one that is always there: postgres, or the database in
// TANDEM_DSN.
func (s *Server) DSN(database string, params ...string) string {
	return With(s.dsn, database, params...)
}

// Description names the way and the version: "docker postgres:17",
// "local binaries 15.18" or "TANDEM_DSN".
func (s *Server) Description() string { return s.description }

// Local reports whether the server runs from local binaries, so that Kill and
// Restart work.
func (s *Server) Local() bool { return s.local != nil }

// Kill stops the server at once, without a checkpoint, as a crash would: the
// next start recovers from the log. It returns when no process is left. It
// returns ErrNotLocal, the error of ctx, or that the server does not run.
func (s *Server) Kill(ctx context.Context) error {
	if s.local == nil {
		return ErrNotLocal
	}
	if err := s.local.kill(ctx); err != nil {
		return fmt.Errorf("server: kill: %w", err)
	}
	return nil
}

// Restart starts the server again after Kill, on the same data and with the
// same DSN, and returns when it takes connections. It returns ErrNotLocal, the
// error of ctx, or why the server did not start.
func (s *Server) Restart(ctx context.Context) error {
	if s.local == nil {
		return ErrNotLocal
	}
	if err := s.local.run(ctx); err != nil {
		return fmt.Errorf("server: restart: %w", err)
	}
	return nil
}

// Close stops the server and removes its data; a server named by TANDEM_DSN
// keeps running. Further calls return what the first one did.
func (s *Server) Close() error {
	s.closing.Do(func() {
		if s.stop != nil {
			s.closeErr = s.stop()
		}
	})
	return s.closeErr
}
