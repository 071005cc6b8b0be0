package pg

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a bounded wait with full jitter: before attempt n it sleeps Least and a random time up to min(Base * 2^n, Max), which spreads
// competing retries best (AWS Architecture Blog, "Exponential Backoff And Jitter").
type Backoff struct {
	Base, Max time.Duration
	Attempts  int           // in all; at least one is made
	Least     time.Duration // for those whom an attempt holds up; defaults to none
}

// Retry calls fn until it succeeds, fails with an error that again does not accept, attempts run out, or ctx ends. It returns
// fn's last error.
func Retry(ctx context.Context, b Backoff, again func(error) bool, fn func(ctx context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := fn(ctx)
		if err == nil || ctx.Err() != nil || attempt+1 >= b.Attempts || !again(err) {
			return Cause(ctx, err)
		}
		if Sleep(ctx, b.wait(attempt)) != nil {
			return Cause(ctx, err)
		}
	}
}

func (b Backoff) wait(attempt int) time.Duration {
	limit := b.Max
	if attempt < 40 && b.Base < b.Max>>attempt { // so Base << attempt does not overflow
		limit = b.Base << attempt
	}
	if limit <= 0 {
		return b.Least
	}
	return b.Least + rand.N(limit)
}

// Sleep waits for d or for the end of ctx, whose cause it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
