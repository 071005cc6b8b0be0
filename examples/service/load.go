package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// load is what the clients do while the column and the releases change, and what is known of it.
type load struct {
	url     string
	rows    int64
	http    *http.Client
	clients []*client
	made    chan struct{} // a turn of a client, for whom waits for it

	mu         sync.Mutex
	step       string // of the story
	operations int64
	failures   []error
	inStep     tally
	longest    tally
}

// tally is what happened in a step.
type tally struct {
	step       string
	operations int64
	stall      time.Duration // the longest request
}

// patience bounds one request; one that takes longer is an error.
const patience = 20 * time.Second

// newLoad has clients for a table with ids from 1 to rows.
func newLoad(address net.Addr, rows, clients int64) *load {
	l := &load{url: "http://" + address.String(), rows: rows, made: make(chan struct{})}
	l.http = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: int(clients)}}
	for lane := range clients {
		l.clients = append(l.clients, &client{load: l, lane: lane, lanes: clients, names: map[int64]string{}})
	}
	return l
}

// pace is from one turn of a client to the next, to leave two cores some room for the migration.
const pace = 25 * time.Millisecond

// start lets all clients work until stop, which waits for their last requests, so that none is in doubt.
func (l *load) start(ctx context.Context) (stop func()) {
	until, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, c := range l.clients {
		group.Go(func() {
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			for n := int64(1); ; n++ {
				select {
				case <-until.Done():
					return
				case <-ticker.C:
				}
				if err := c.turn(context.WithoutCancel(ctx), n); err != nil {
					l.fail(err)
				}
				select {
				case l.made <- struct{}{}:
				default: // nobody waits
				}
			}
		})
	}
	return func() { cancel(); group.Wait(); l.http.CloseIdleConnections() }
}

// wait lets the clients take so many turns.
func (l *load) wait(ctx context.Context, turns int) error {
	for range turns {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.made:
		}
	}
	return nil
}

// enter says which step begins.
func (l *load) enter(step string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.step, l.inStep = step, tally{step: step}
}

// note counts a request that began in a step.
func (l *load) note(step string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operations++
	l.inStep.operations++
	l.inStep.stall = max(l.inStep.stall, took)
	if took > l.longest.stall {
		l.longest = tally{step: step, stall: took}
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, err)
}

// now is what has happened in the step so far.
func (l *load) now() (t tally, failures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inStep, len(l.failures)
}

// acked are the names of all users that the clients have written, as last acknowledged.
func (l *load) acked() map[int64]string {
	all := map[int64]string{}
	for _, c := range l.clients {
		for id, name := range c.names {
			all[id] = name
		}
	}
	return all
}
