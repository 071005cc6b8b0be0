package main

import (
	"context"
	"errors"
	"fmt"
)

// fleet are the backends behind the balancer.
type fleet struct {
	*balancer
	dsn      func(application string) string
	running  []*process
	restarts int64
}

// start brings up so many backends of a release.
func (f *fleet) start(ctx context.Context, release string, backends int) error {
	for range backends {
		if err := f.add(ctx, release); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) add(ctx context.Context, release string) error {
	p, err := startProcess(ctx, release, f.dsn(release))
	if err != nil {
		return err
	}
	f.running = append(f.running, p)
	return f.take(ctx, p.address)
}

// roll is a rolling restart: each backend is replaced by one of the release, the next one when settled has returned. A backend stops only
// after its replacement serves, and after the balancer has taken it out.
func (f *fleet) roll(ctx context.Context, release string, settled func(context.Context) error) error {
	for range len(f.running) {
		if err := f.add(ctx, release); err != nil {
			return fmt.Errorf("roll out %s: %w", release, err)
		}
		oldest := f.running[0]
		f.running = f.running[1:]
		f.leave(oldest.address)
		if err := oldest.stop(); err != nil {
			return fmt.Errorf("roll out %s: %w", release, err)
		}
		f.restarts++
		if err := settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all backends, when nobody sends requests any more.
func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.running {
		errs = append(errs, p.stop())
	}
	f.running = nil
	return errors.Join(errs...)
}
