package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// A service is this binary once more, with its name in the environment. It gets lines of JSON (order) on stdin and writes lines of JSON
// (news) to stdout. It stops when its stdin ends: at the operator's word, and also when the operator dies.

const serviceVariable = "TANDEM_EXAMPLE_SERVICE"

// order is a line to a service: the first one says where to work. The old binary is told the phases too, but only to file its latencies
// under them; the other services learn them by themselves.
type order struct {
	DSN   string           `json:"dsn,omitempty"`
	Rows  int64            `json:"rows,omitempty"`
	Phase switchover.Phase `json:"phase,omitempty"`
}

// news is a line from a service: that it is ready, how far it is, and, as the last one, what it did.
type news struct {
	Ready      bool    `json:"ready,omitempty"`
	Operations int64   `json:"operations,omitempty"`
	Errors     int64   `json:"errors,omitempty"`
	Report     *report `json:"report,omitempty"`
}

// services are the programs that share the table.
var services = map[string]func(*bench) []task{
	"reader":     readerTasks,
	"writer":     writerTasks,
	"updater":    updaterTasks,
	"aggregator": aggregatorTasks,
	oldBinary:    oldTasks,
}

// task is one goroutine of a service: it makes one operation at each tick.
type task struct {
	name  string
	every time.Duration // light enough to leave two cores room for the migration, so that a latency means something
	step  func(ctx context.Context) error
}

// bench is what the tasks of a service work with.
type bench struct {
	db     *sqlx.DB
	member *switchover.Member       // nil in the old binary
	users  *expand.Repository[User] // nil in the old binary
	rows   int64
	record *record
	meter  *meter
	label  atomic.Int64 // the old binary's phase
}

// patience bounds one operation; one that takes longer counts as an error.
const patience = 20 * time.Second

// beat is how often a service says how far it is.
const beat = 500 * time.Millisecond

// serve is main of a service.
func serve(name string, stdin io.Reader, stdout, stderr io.Writer) int {
	signal.Ignore(os.Interrupt) // Ctrl-C reaches all processes of the terminal; the operator ends the services in order
	if err := work(name, bufio.NewReader(stdin), json.NewEncoder(stdout)); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func work(name string, stdin io.Reader, stdout *json.Encoder) (err error) {
	tasks, ok := services[name]
	if !ok {
		return errors.New("there is no such service")
	}
	orders := json.NewDecoder(stdin)
	var first order
	if err := orders.Decode(&first); err != nil {
		return fmt.Errorf("first order: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	b, err := newBench(ctx, name, first)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	go func() {
		defer stop() // no more orders: stdin has ended
		for next := (order{}); orders.Decode(&next) == nil; next = (order{}) {
			b.label.Store(int64(next.Phase))
		}
	}()
	if err := stdout.Encode(news{Ready: true}); err != nil {
		return err
	}
	b.run(ctx, tasks(b), stdout)
	if b.member != nil {
		if err := b.member.Leave(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return stdout.Encode(news{Report: &report{Service: name, Record: b.record, Loads: b.meter.loads, Messages: b.meter.messages}})
}

// newBench connects. This is the startup of an application: a pool, a member, a repository.
func newBench(ctx context.Context, name string, o order) (*bench, error) {
	db, err := sqlx.ConnectContext(ctx, "postgres", o.DSN)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	b := &bench{db: db, rows: o.Rows, record: newRecord(), meter: newMeter()}
	b.label.Store(int64(switchover.Start))
	if name == oldBinary {
		return b, nil // built before anybody thought of a migration
	}
	// A poll of 250 ms, a quarter of the default, only keeps the example short.
	b.member, err = switchover.Join(ctx, db, switchover.JoinOptions{Service: name, Poll: 250 * time.Millisecond})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	b.users, err = expand.NewRepository[User](db, b.member, FullName)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// run works until ctx ends. Operations that run then are finished, so that none is in doubt.
func (b *bench) run(ctx context.Context, tasks []task, stdout *json.Encoder) {
	var group sync.WaitGroup
	for _, t := range tasks {
		group.Go(func() { ticks(ctx, t.every, func() { b.operate(ctx, t) }) })
	}
	ticks(ctx, beat, func() {
		n, failed := b.meter.counts()
		_ = stdout.Encode(news{Operations: n, Errors: failed}) // nobody listens: stdin is about to end
	})
	group.Wait()
}

// operate makes and measures one operation.
func (b *bench) operate(ctx context.Context, t task) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	phase := b.phase()
	began := time.Now()
	err := t.step(ctx)
	b.meter.add(phase, time.Since(began), t.name, err)
}

// phase is the phase that an operation would be pinned to now.
func (b *bench) phase() switchover.Phase {
	if b.member == nil {
		return switchover.Phase(b.label.Load())
	}
	return b.member.Phase(FullName.Name())
}

// pick chooses a user of a lane, every other time one of a few that are always busy.
func (b *bench) pick(lane int64) int64 {
	n := b.rows / lanes
	if rand.IntN(2) == 0 {
		n = min(n, 50)
	}
	return rand.N(n)*lanes + lane
}

func ticks(ctx context.Context, every time.Duration, fn func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			fn()
		}
	}
}
