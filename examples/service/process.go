package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// A backend is this binary once more, with a release in the environment. Its first line on stdout is the address where it listens.
const (
	releaseVariable = "TANDEM_SERVICE_RELEASE"
	dsnVariable     = "TANDEM_SERVICE_DSN"
)

const poolSize = 4

// child is main of a backend, and returns the exit code. SIGTERM stops it, and so does the end of stdin: then the parent has died.
func child(name string) int {
	signal.Ignore(os.Interrupt) // Ctrl-C reaches all processes of the terminal; the parent ends the backends in order
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	err := fmt.Errorf("there is no release %q", name)
	if r, ok := releases[name]; ok {
		err = serve(ctx, os.Getenv(dsnVariable), r, func(a net.Addr) { fmt.Println(a) })
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "backend %s: %v\n", name, err)
		return 1
	}
	return 0
}

// process is a running backend.
type process struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
	ended   chan struct{} // closed when the process has ended; err is set
	err     error
}

// stopTime is how long a backend may take to stop; then it is killed, which is an error.
const stopTime = noticeTime + finishTime + 10*time.Second

// startProcess returns when the backend listens. ctx bounds the start only.
func startProcess(ctx context.Context, name, dsn string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self)
	cmd.Env = append(os.Environ(), releaseVariable+"="+name, dsnVariable+"="+dsn)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	listens := make(chan string, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stdout)
		if lines.Scan() {
			listens <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, stdout)
		p.err = cmd.Wait()
	}()
	select {
	case p.address = <-listens:
		return p, nil
	case <-p.ended:
		return nil, errors.Join(errors.New("backend "+name+" ended at its start"), p.err)
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.stop())
	}
}

// stop sends SIGTERM and waits for the end. Any exit code but 0 is an error.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // if it has ended already, its exit code tells
	kill := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.ended
	_ = p.stdin.Close()
	if p.err != nil {
		return fmt.Errorf("backend at %s: %w", p.address, p.err)
	}
	return nil
}
