// Package fresh gives an example program a database of its own, on a server that it finds or starts: see package internal/server.
package fresh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/server"
)

// Database is a new, empty database, so that a server that is somebody else's stays as it is.
type Database struct {
	program, name string
	server        *server.Server
}

// Open finds or starts the server, says so in log, and makes the database, which has the program's name in its own.
func Open(ctx context.Context, program string, log io.Writer) (*Database, error) {
	srv, err := server.Start(ctx, server.Options{Log: log})
	if err != nil {
		return nil, err
	}
	d := &Database{program: program, server: srv, name: fmt.Sprintf("tandem_%s_%d_%s", program, os.Getpid(), strings.ToLower(rand.Text()[:8]))}
	if err := d.admin(ctx, `CREATE DATABASE `+pq.QuoteIdentifier(d.name)+` TEMPLATE template0`); err != nil {
		return nil, errors.Join(fmt.Errorf("create database on %s: %w", srv.Description(), err), srv.Close())
	}
	return d, nil
}

// DSN is where an application of that name connects.
func (d *Database) DSN(application string) string {
	return d.server.DSN(d.name, "application_name="+application)
}

// dropTime is for DROP DATABASE, also after the program's own context has ended.
const dropTime = 30 * time.Second

// Close drops the database and closes the server, also when ctx has ended.
func (d *Database) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	err := d.admin(ctx, `DROP DATABASE `+pq.QuoteIdentifier(d.name)+` WITH (FORCE)`)
	return errors.Join(err, d.server.Close())
}

// admin runs one statement outside the database.
func (d *Database) admin(ctx context.Context, statement string) error {
	db, err := sqlx.ConnectContext(ctx, "postgres", d.server.DSN("", "application_name="+d.program))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statement)
	return err
}
