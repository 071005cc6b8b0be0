//go:build unix

package server

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// StartLocal starts the binaries of this machine, whatever TANDEM_SERVER says: for tests that need more of a server than a DSN.
func StartLocal(ctx context.Context, opts Options) (*Server, error) {
	s, err := startLocal(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

// Standby starts a streaming standby of a server of local binaries, from a base backup of it. Close it first. It returns ErrNotLocal, the error of ctx, or why it did not start.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	// Replay waits for queries, however slow the machine: else it cancels them after 30 s.
	return s.StandbyWith(ctx, map[string]string{"max_standby_streaming_delay": "-1"})
}

// StandbyWith is Standby with the settings.
func (s *Server) StandbyWith(ctx context.Context, settings map[string]string) (*Server, error) {
	if s.local == nil {
		return nil, ErrNotLocal
	}
	l, err := newLocal(s.local.bin, settings)
	if err != nil {
		return nil, fmt.Errorf("server: standby: %w", err)
	}
	if err := l.copy(ctx, s.local); err != nil {
		return nil, fmt.Errorf("server: standby: %w", errors.Join(err, l.close()))
	}
	if err := l.run(ctx); err != nil {
		return nil, fmt.Errorf("server: standby: %w", errors.Join(err, l.close()))
	}
	return &Server{description: "standby of " + s.description, dsn: l.dsn(), local: l, stop: l.close}, nil
}

// copy makes the data from that of a running server.
func (l *local) copy(ctx context.Context, from *local) error {
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "pg_basebackup"), "-D", l.folder.data(), "-d", from.dsn(),
		"--checkpoint=fast", "--no-sync", "--write-recovery-conf")
	cmd.Dir = l.folder.path
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.identity}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
