//go:build !unix

package server

import (
	"context"
	"errors"
)

// local is never made on this system.
type local struct{}

func (*local) kill(context.Context) error { return ErrNotLocal }
func (*local) run(context.Context) error  { return ErrNotLocal }

func startLocal(context.Context, Options) (*Server, error) {
	return nil, errors.New("local binaries: not supported on this system (use one of the other ways)")
}

// StartLocal is not there on this system.
func StartLocal(ctx context.Context, opts Options) (*Server, error) { return startLocal(ctx, opts) }

// ErrNoPooler is the error of Pool.
var ErrNoPooler = errors.New("pgbouncer: not supported on this system")

// Pool is not there on this system.
func (*Server) Pool(context.Context, string, int) (*Server, error) { return nil, ErrNoPooler }

// Standby is not there on this system.
func (*Server) Standby(context.Context) (*Server, error) { return nil, ErrNotLocal }
