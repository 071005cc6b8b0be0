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

	"github.com/lib/pq"
)

// poolerFile is PgBouncer's file: every database of the server, to which it logs in by itself. Clients come over a socket in a folder that only they and we can enter.
const poolerFile = `[databases]
* = host=%s port=%d user=%s%s

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits, options
`

// Pool starts a PgBouncer in front of the server, in a mode (transaction or session) and with so many sessions a database. Its DSN works as the server's; close it before
// the server. ErrNoPooler if this machine has none.
func (s *Server) Pool(ctx context.Context, mode string, size int) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	pooler, err := s.pool(ctx, mode, size)
	if err != nil {
		return nil, fmt.Errorf("server: pgbouncer: %w", err)
	}
	return pooler, nil
}

// ErrNoPooler is the error of Pool on a machine without PgBouncer.
var ErrNoPooler = errors.New("no pgbouncer in PATH or /usr/sbin (install it)")

func (s *Server) pool(ctx context.Context, mode string, size int) (*Server, error) {
	bin := "/usr/sbin/pgbouncer"
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		bin = path
	} else if !program("/usr/sbin", "pgbouncer") {
		return nil, ErrNoPooler
	}
	to, err := pq.NewConfig(s.dsn)
	if err != nil {
		return nil, err
	}
	id, err := identity()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder(id)
	if err != nil {
		return nil, err
	}
	password := "" // an empty one is a syntax error
	if to.Password != "" {
		password = " password=" + poolerQuote(to.Password)
	}
	l := &local{bin: bin, folder: dir, identity: id}
	text := fmt.Sprintf(poolerFile, poolerQuote(to.Host), to.Port, poolerQuote(to.User), password, dir.path, mode, size)
	dsn := With("", to.Database, "host="+dir.path, "port=6432", "user="+to.User, "sslmode=disable")
	if err := l.pgbouncer(ctx, text, dsn); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return &Server{description: "pgbouncer, " + s.description, dsn: dsn, stop: l.close}, nil
}

func (l *local) pgbouncer(ctx context.Context, text, dsn string) error {
	file := filepath.Join(l.folder.path, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if l.identity != nil {
		if err := os.Chown(file, int(l.identity.Uid), int(l.identity.Gid)); err != nil {
			return err
		}
	}
	log, err := l.folder.log()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(l.bin, file) //nolint:noctx // it outlives the call that started it
	cmd.Dir = l.folder.path
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes(l.identity)
	if l.process, err = launch(cmd); err != nil {
		return err
	}
	if err := ready(ctx, dsn, l.process.exited); err != nil {
		return fmt.Errorf("%w\n%s", err, l.folder.logTail())
	}
	return nil
}

// poolerQuote makes a value of a connection string of PgBouncer.
func poolerQuote(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
