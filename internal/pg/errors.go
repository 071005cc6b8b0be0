package pg

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// SQLSTATE codes that the library branches on.
const (
	StaleStamp            = "TD001" // a write whose stamp the present phase does not admit
	WouldLose             = "TD002" // a write that the guard cannot keep in step without losing a value
	InsufficientPrivilege = "42501"
	KeptMigration         = "TD003" // a hand that would forget a migration under way
	UndefinedColumn       = "42703"
	UndefinedFunction     = "42883"
	UndefinedTable        = "42P01"
	UndefinedSchema       = "3F000"
	CachedPlan            = "0A000"
	LockNotAvailable      = "55P03"
	Deadlock              = "40P01"
	Serialization         = "40001"
	QueryCanceled         = "57014"
)

// SQLState returns the SQLSTATE in err's chain, or "". lib/pq and pgx errors both have the method.
func SQLState(err error) string {
	var s interface{ SQLState() string }
	if errors.As(err, &s) {
		return s.SQLState()
	}
	return ""
}

// Cause puts the context's own reason into the chain of err: a canceled or expired context reaches us as SQLSTATE 57014, for which
// errors.Is(err, context.Canceled) is false.
func Cause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// Transient tells whether a statement that failed so may be run again unchanged, in a new transaction.
func Transient(err error) bool {
	switch state := SQLState(err); state {
	case Deadlock, LockNotAvailable, Serialization, QueryCanceled:
		return true
	default:
		return ConnectionLost(err)
	}
}

// ConnectionLost tells whether the connection or the server went away: class 08, shutdown, too many clients, or no answer at all.
func ConnectionLost(err error) bool {
	state := SQLState(err)
	if strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") || state == "53300" {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) { // it is a net.Error, and the caller's own
		return false
	}
	var netErr net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr)
}
