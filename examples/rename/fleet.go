package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-go/tandem/switchover"
)

// stopTime is how long a service may take to finish its last operations; then it is killed.
const stopTime = patience + 10*time.Second

// fleet are the services, as the operator sees them.
type fleet struct {
	running map[string]*process
	reports []*report // of those that have stopped
}

// process is one running service.
type process struct {
	name               string
	cmd                *exec.Cmd
	stdin              io.WriteCloser
	orders             *json.Encoder
	ready              chan struct{}
	done               chan struct{} // closed when the process has ended; report and err are set
	operations, errors atomic.Int64
	report             *report
	err                error
}

// startFleet starts all services and returns when each is connected. dsn makes the DSN of a service. A service that ends before it is told
// to calls lost.
func startFleet(ctx context.Context, dsn func(service string) string, rows int64, lost func(error)) (*fleet, error) {
	f := &fleet{running: map[string]*process{}}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		p, err := startProcess(ctx, name)
		if err != nil {
			return f, fmt.Errorf("start service %s: %w", name, err)
		}
		f.running[name] = p
		go p.listen(lost)
		if err := p.orders.Encode(order{DSN: dsn(name), Rows: rows}); err != nil {
			return f, fmt.Errorf("start service %s: %w", name, err)
		}
	}
	for name, p := range f.running {
		select {
		case <-p.ready:
		case <-p.done:
			return f, fmt.Errorf("start service %s: %w", name, p.err)
		case <-ctx.Done():
			return f, context.Cause(ctx)
		}
	}
	return f, nil
}

func startProcess(ctx context.Context, name string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// When ctx ends the service is asked to stop, not killed, so that it can finish what it has begun.
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), serviceVariable+"="+name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = func() error { return ignoreClosed(stdin.Close()) }
	cmd.WaitDelay = stopTime
	p := &process{name: name, cmd: cmd, stdin: stdin, orders: json.NewEncoder(stdin), ready: make(chan struct{}), done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(json.NewDecoder(out))
	return p, nil
}

// read takes the news of a service until it ends.
func (p *process) read(out *json.Decoder) {
	defer close(p.done)
	for {
		var n news
		err := out.Decode(&n)
		if err != nil {
			p.err = p.cmd.Wait()
			switch {
			case p.report == nil && p.err == nil:
				p.err = errors.New("it ended without a report")
			case p.report != nil && errors.Is(p.err, context.Canceled):
				p.err = nil // the context only asked it to stop
			}
			return
		}
		switch {
		case n.Ready:
			close(p.ready)
		case n.Report != nil:
			p.report = n.Report
		default:
			p.operations.Store(n.Operations)
			p.errors.Store(n.Errors)
		}
	}
}

// listen tells of a service that ends with an error.
func (p *process) listen(lost func(error)) {
	<-p.done
	if p.err != nil {
		lost(fmt.Errorf("service %s: %w", p.name, p.err))
	}
}

// tell gives the old binary the name of the phase, for its statistics. The other services learn it from the database alone.
func (f *fleet) tell(phase switchover.Phase) {
	if p := f.running[oldBinary]; p != nil {
		_ = p.orders.Encode(order{Phase: phase}) // if it has ended, listen tells
	}
}

// stop ends services and keeps their reports.
func (f *fleet) stop(names ...string) error {
	var errs []error
	for _, name := range names {
		if p := f.running[name]; p != nil {
			errs = append(errs, ignoreClosed(p.stdin.Close()))
		}
	}
	for _, name := range names {
		p := f.running[name]
		if p == nil {
			continue
		}
		delete(f.running, name)
		<-p.done
		if p.report != nil {
			f.reports = append(f.reports, p.report)
		}
		if p.err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", name, p.err))
		}
	}
	return errors.Join(errs...)
}

// stopAll ends all services.
func (f *fleet) stopAll() error { return f.stop(slices.Sorted(maps.Keys(f.running))...) }

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil // by stop, or by the end of the context
	}
	return err
}

// counts are the operations of the running and the stopped services so far.
func (f *fleet) counts() (operations, failed int64) {
	for _, p := range f.running {
		operations += p.operations.Load()
		failed += p.errors.Load()
	}
	for _, r := range f.reports {
		for _, l := range r.Loads {
			operations += l.Operations
			failed += l.Errors
		}
	}
	return operations, failed
}
