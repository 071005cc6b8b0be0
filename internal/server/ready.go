package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// errExited says that a server ended while Start waited for it.
var errExited = errors.New("the server exited")

// Waits between two attempts to connect: a local server answers after 50 ms,
// a container after seconds.
const (
	firstWait = 10 * time.Millisecond
	lastWait  = 250 * time.Millisecond
)

// ready returns when the server at dsn takes connections. It gives up when ctx
// ends, when exited is closed, or when the server refuses the login.
func ready(ctx context.Context, dsn string, exited <-chan struct{}) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := db.PingContext(ctx)
		if err == nil || refused(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-exited:
			timer.Stop()
			return errExited
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("no answer (%w), last: %w", ctx.Err(), err)
		}
	}
}

// refused reports whether err will be the same at the next attempt: a wrong
// password or role (class 28), or no such database (class 3D).
func refused(err error) bool {
	var e *pq.Error
	return errors.As(err, &e) && (e.Code.Class() == "28" || e.Code.Class() == "3D")
}
