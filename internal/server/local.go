//go:build unix

package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// localTime is for initdb and the start on a loaded machine.
	localTime = 60 * time.Second
	// stopTime is for an immediate stop, which waits for no client.
	stopTime = 10 * time.Second
)

// local is a server run from the binaries of this machine.
type local struct {
	bin      string
	folder   *folder
	identity *syscall.Credential // nil: run as ourselves
	args     []string
	env      []string // besides our own

	mu      sync.Mutex
	process *process // nil: stopped
}

// startLocal starts the binaries of this machine.
func startLocal(ctx context.Context, opts Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	bin, err := binaries(ctx)
	if err != nil {
		return nil, fmt.Errorf("local binaries: %w", err)
	}
	number, err := version(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("local binaries: %s/postgres --version: %w", bin, err)
	}
	l, err := newLocal(bin, opts.Settings)
	if err != nil {
		return nil, fmt.Errorf("local binaries %s: %w", number, err)
	}
	l.env = opts.Env
	if err := l.initdb(ctx); err != nil {
		return nil, fmt.Errorf("local binaries %s: %w", number, errors.Join(err, l.close()))
	}
	if err := l.run(ctx); err != nil {
		return nil, fmt.Errorf("local binaries %s: %w", number, errors.Join(err, l.close()))
	}
	return &Server{description: "local binaries " + number, dsn: l.dsn(), local: l, stop: l.close}, nil
}

// newLocal makes the folder of a server and its arguments.
func newLocal(bin string, more map[string]string) (*local, error) {
	id, err := identity()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder(id)
	if err != nil {
		return nil, err
	}
	args := arguments(map[string]string{
		"listen_addresses":        "",
		"port":                    "5432", // PGPORT would be another default
		"unix_socket_directories": dir.path,
	}, more)
	args = append([]string{"-D", dir.data()}, args...)
	return &local{bin: bin, folder: dir, identity: id, args: args}, nil
}

// initdb makes the data. Every login is trusted: the socket is in a folder
// that only the server's user can enter.
func (l *local) initdb(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "initdb"), "-D", l.folder.data(),
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir = l.folder.path
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.identity}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// dsn names the socket.
func (l *local) dsn() string {
	return "host=" + quote(l.folder.path) + " port=5432 user=postgres dbname=postgres sslmode=disable"
}

// run starts the server and waits until it takes connections.
func (l *local) run(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process != nil && !l.process.over() {
		return errors.New("already running, kill it before a restart")
	}
	log, err := l.folder.log()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Not CommandContext: the server outlives the call that started it.
	cmd := exec.Command(filepath.Join(l.bin, "postgres"), l.args...) //nolint:noctx // see above
	cmd.Dir = l.folder.path
	cmd.Env = append(os.Environ(), l.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes(l.identity)
	if l.process, err = launch(cmd); err != nil {
		return err
	}
	if err := ready(ctx, l.dsn(), l.process.exited); err != nil {
		return fmt.Errorf("postgres: %w\n%s", err, l.folder.logTail())
	}
	return nil
}

// kill stops the server and waits for its end.
func (l *local) kill(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process == nil || l.process.over() {
		return errors.New("it does not run, restart it before the next kill")
	}
	return l.process.quit(ctx)
}

// close stops the server if it runs and removes its folder.
func (l *local) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.process != nil && !l.process.over() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err = l.process.quit(ctx); err != nil {
			err = errors.Join(err, l.process.cmd.Process.Signal(os.Kill))
		}
	}
	return errors.Join(err, l.folder.remove())
}
