package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// load is what goes on while the column changes: two goroutines that write, and what they know to be stored.
type load struct {
	rows int64
	made chan struct{} // an operation, for whom waits for it
	seen atomic.Int64  // reads that found the two columns to differ

	mu         sync.Mutex
	operations int64
	failures   []error
	acked      map[int64]int64 // the cents of an item in its last acknowledged write
}

func newLoad(rows int64) *load {
	return &load{rows: rows, made: make(chan struct{}), acked: map[int64]int64{}}
}

// Each goroutine writes only the ids of the start that end in its digit, and those that it has inserted. So "the last acknowledged write" means something.
const (
	lanes    = 10
	laneShop = 1
	laneOld  = 2
)

func (l *load) pick(lane int64) int64 { return rand.N(l.rows/lanes)*lanes + lane }

// operation is number n of a goroutine: it writes an item.
type operation func(ctx context.Context, n int64) (id, cents int64, err error)

// pace is from one operation to the next, to leave the migration some room.
const pace = 5 * time.Millisecond

// start makes one operation after the other until stop, which waits for the last one, so that none is in doubt.
func (l *load) start(ctx context.Context, operate operation) (stop func()) {
	until, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for n := int64(1); ; n++ {
			select {
			case <-until.Done():
				return
			case <-ticker.C:
			}
			l.note(operate(ctx, n))
		}
	}()
	return func() { cancel(); <-ended }
}

func (l *load) note(id, cents int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operations++
	if err != nil {
		l.failures = append(l.failures, err)
	}
	if id != 0 { // written, whatever a read of it has said
		l.acked[id] = cents
	}
	select {
	case l.made <- struct{}{}:
	default: // nobody waits
	}
}

// between is how many operations the load makes after each step.
const between = 100

// wait lets the load make that many operations more.
func (l *load) wait(ctx context.Context) error {
	for range between {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.made:
		}
	}
	return nil
}

// serve is the application: its startup, a member and a repository, and then work until meanwhile returns.
func (l *load) serve(ctx context.Context, db *sqlx.DB, meanwhile func(context.Context) error) (err error) {
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{
		Service:      "shop",
		Poll:         250 * time.Millisecond, // a quarter of the default, to keep the example short
		OnDifference: func(switchover.Difference) { l.seen.Add(1) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, member.Leave(context.WithoutCancel(ctx))) }()
	items, err := expand.NewRepository[Item](db, member, PriceCents)
	if err != nil {
		return err
	}
	defer l.start(ctx, l.sell(items))()
	return meanwhile(ctx)
}

// sell writes an item and reads it again. Nothing in it says that a migration runs.
func (l *load) sell(items *expand.Repository[Item]) operation {
	return func(ctx context.Context, n int64) (id, cents int64, err error) {
		item := Item{Name: "sold", PriceCents: rand.Int64N(1_000_000)}
		if n%10 == 0 {
			err = items.Insert(ctx, &item)
		} else {
			item.ID = l.pick(laneShop)
			err = items.Update(ctx, &item)
		}
		if err != nil {
			return 0, 0, err
		}
		got, err := items.Get(ctx, item.ID)
		if err == nil && got != item {
			err = fmt.Errorf("wrote %+v, read %+v", item, got)
		}
		return item.ID, item.PriceCents, err
	}
}

// oldBinary is the release of before, by its application_name.
const oldBinary = "old-binary"

// old knows price alone. Its prices are three tenths of a cent below whole cents, which only a conversion that rounds gets right.
func (l *load) old(db *sqlx.DB) operation {
	return func(ctx context.Context, n int64) (id, cents int64, err error) {
		cents = 1 + rand.Int64N(1_000_000)
		price := fmt.Sprintf("%d.%02d7", (cents-1)/100, (cents-1)%100)
		query, arg := `UPDATE items SET price = $1 WHERE id = $2 RETURNING id`, any(l.pick(laneOld))
		if n%10 == 0 {
			query, arg = `INSERT INTO items (price, name) VALUES ($1, $2) RETURNING id`, "old"
		}
		err = db.GetContext(ctx, &id, query, price, arg)
		return id, cents, err
	}
}
