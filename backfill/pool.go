package backfill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrStuck says that a conversion in Go has not returned for Options.ConvertTimeout. It cannot be ended: its goroutine stays until it does.
var ErrStuck = errors.New("a conversion does not return")

const (
	chunkRows = 256         // go to a goroutine at a time
	lookTime  = time.Second // between two looks at whether conversions go on
)

// pool works on rows, on all processors, while its caller goes on reading them. One goroutine adds rows and waits.
type pool[T any] struct {
	work    func(T)
	key     func(T) []string
	timeout time.Duration // for one row

	idle   chan struct{} // a token for each processor that has nothing to do
	rows   []T
	chunks []*chunk[T] // under way
}

// chunk are some rows, and how far work on them is.
type chunk[T any] struct {
	rows []T
	at   atomic.Int64
	done chan struct{}

	seen  int64 // where it was
	since time.Time
}

func newPool[T any](timeout time.Duration, key func(T) []string, work func(T)) *pool[T] {
	p := &pool[T]{work: work, key: key, timeout: cmp.Or(timeout, defaultConvertTimeout), idle: make(chan struct{}, runtime.GOMAXPROCS(0))}
	for range cap(p.idle) {
		p.idle <- struct{}{}
	}
	return p
}

// add is for one row more.
func (p *pool[T]) add(ctx context.Context, row T) error {
	if p.rows = append(p.rows, row); len(p.rows) < chunkRows {
		return nil
	}
	return p.start(ctx)
}

// start begins work on the rows that were added.
func (p *pool[T]) start(ctx context.Context) error {
	if err := p.await(ctx, p.idle); err != nil {
		return err
	}
	c := &chunk[T]{rows: p.rows, done: make(chan struct{}), since: time.Now()}
	p.rows, p.chunks = make([]T, 0, chunkRows), append(p.chunks, c)
	go func() {
		defer func() { p.idle <- struct{}{}; close(c.done) }()
		for i, row := range c.rows {
			c.at.Store(int64(i))
			p.work(row)
		}
	}()
	return nil
}

// wait returns when all rows are done.
func (p *pool[T]) wait(ctx context.Context) error {
	if len(p.rows) > 0 {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	for _, c := range p.chunks {
		if err := p.await(ctx, c.done); err != nil {
			return err
		}
	}
	return nil
}

// await receives, and looks now and then whether work goes on.
func (p *pool[T]) await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	default:
	}
	tick := time.NewTicker(min(lookTime, p.timeout/4))
	defer tick.Stop()
	for {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if err := p.stuck(); err != nil {
				return err
			}
		}
	}
}

// stuck names a row whose time is over.
func (p *pool[T]) stuck() error {
	for _, c := range p.chunks {
		select {
		case <-c.done:
			continue
		default:
		}
		if at := c.at.Load(); at != c.seen {
			c.seen, c.since = at, time.Now()
		} else if time.Since(c.since) > p.timeout {
			return fmt.Errorf("%w: that of the row with key %v, after %s", ErrStuck, p.key(c.rows[at]), p.timeout)
		}
	}
	return nil
}
