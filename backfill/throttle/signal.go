package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Load is what a signal asks for.
type Load struct {
	Share  float64 // of the time that workers rest: 0 nothing, 1 they stand still
	Reason string  // in words, for an operator
}

// Signal is something that a backfill gives way to. A Monitor reads it from one goroutine, so it may remember what it has read before; give each Run its own.
type Signal interface {
	Name() string
	Read(ctx context.Context, db *sqlx.DB) (Load, error)
}

// Func makes a signal of a function.
func Func(name string, read func(ctx context.Context, db *sqlx.DB) (Load, error)) Signal {
	return function{name, read}
}

type function struct {
	name string
	read func(ctx context.Context, db *sqlx.DB) (Load, error)
}

func (f function) Name() string                                        { return f.name }
func (f function) Read(ctx context.Context, db *sqlx.DB) (Load, error) { return f.read(ctx, db) }

// Ramp is 0 up to soft, 1 from hard on, and grows evenly between them.
func Ramp(value, soft, hard float64) float64 {
	switch {
	case value >= hard:
		return 1
	case value <= soft:
		return 0
	}
	return (value - soft) / (hard - soft)
}

// limits are a soft and a hard one, each with its default.
func limits[T ~int64 | ~float64](name string, soft, hard, softDefault, hardDefault T) (float64, float64, error) {
	if soft == 0 {
		soft = softDefault
	}
	if hard == 0 {
		hard = max(hardDefault, soft)
	}
	if soft < 0 || hard < soft {
		return 0, 0, fmt.Errorf("%s: limits %v and %v: the hard one must not lie below the soft one, nor the soft one below 0", name, soft, hard)
	}
	return float64(soft), float64(hard), nil
}

func round(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}

func bytes(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.3g TiB", n)
}
