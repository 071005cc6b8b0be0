//go:build unix

package server

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a server that was started; exited is closed at its end.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// launch starts cmd from a thread that lives as long as the server does. The
// signal that ends the server with its parent (see attributes) is sent at the
// end of the thread that started it, and Go ends idle threads.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// quit asks for PostgreSQL's immediate shutdown, which ends all its processes
// without a checkpoint, and waits for the end. SIGKILL would leave the
// sessions behind for a moment, and their shared memory in the way of a
// restart.
func (p *process) quit(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("stop process %d: %w", p.cmd.Process.Pid, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop process %d: %w", p.cmd.Process.Pid, ctx.Err())
	}
}
