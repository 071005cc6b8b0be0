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
