package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jmoiron/sqlx"
)

// options are the flags, and what only a test does.
type options struct {
	rows     int64
	backends int
	clients  int64
	json     bool
	spoil    map[int]string // what a test does behind everybody's back: SQL after a step
}

// result is the object of -json.
type result struct {
	Operations   int64   `json:"operations"` // requests
	Errors       int64   `json:"errors"`     // requests that failed, or whose answer was not 2xx or not right
	LostWrites   int64   `json:"lost_writes"`
	Differences  int64   `json:"differences"`
	LongestStall float64 `json:"longest_stall_ms"` // the longest request
	Restarts     int64   `json:"restarts"`         // backends that were replaced by another
	Error        string  `json:"error,omitempty"`  // why there is no proof

	stalled string // the step of the longest request
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// perform tells the story on stderr and the result on stdout, and returns the exit code.
func perform(ctx context.Context, dsn func(application string) string, o options, stdout, stderr io.Writer) int {
	var r result
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
	err := r.play(ctx, dsn, o, say)
	if err != nil {
		r.Error = err.Error()
		say("service: %v", err)
	}
	text := fmt.Sprintf("%d requests, %d errors, %d lost writes, %d differences, %d restarts; longest stall %.1f ms, in %s",
		r.Operations, r.Errors, r.LostWrites, r.Differences, r.Restarts, r.LongestStall, r.stalled)
	if o.json {
		say("%s", text)
		err = errors.Join(err, json.NewEncoder(stdout).Encode(r))
	} else {
		_, _ = fmt.Fprintln(stdout, text)
	}
	if err != nil || r.Errors+r.LostWrites+r.Differences > 0 {
		return 1
	}
	return 0
}

// limit ends a run in which a gate never opens.
const limit = 5 * time.Minute

// play sets the stage, tells the story, and proves how it ended.
func (r *result) play(ctx context.Context, dsn func(application string) string, o options, say func(string, ...any)) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	db, err := sqlx.ConnectContext(ctx, "postgres", dsn("operator"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := createTable(ctx, db, o.rows); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	op := &operator{fleet: &fleet{balancer: newBalancer(), dsn: dsn}, db: db, load: newLoad(listener.Addr(), o.rows, o.clients), say: say, spoil: o.spoil}
	front := &http.Server{Handler: op.balancer, ReadHeaderTimeout: patience}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = front.Serve(listener) }() // if it fails, requests do
	defer func() { err = errors.Join(err, front.Close()); <-ended }()

	err = op.start(ctx, before, o.backends)
	if err == nil {
		stopLoad := op.load.start(ctx)
		err = op.tell(ctx)
		stopLoad()
	}
	err = errors.Join(err, op.stop())
	r.take(op)
	if err != nil {
		return err
	}
	return r.prove(ctx, op, o)
}

// maxMessages of errors and of lost writes are shown; the rest is counted.
const maxMessages = 10

// take adds up what the clients and the operator found.
func (r *result) take(op *operator) {
	l := op.load
	r.Operations, r.Errors, r.Differences, r.Restarts = l.operations, int64(len(l.failures)), op.differences, op.restarts
	r.LongestStall, r.stalled = milliseconds(l.longest.stall), l.longest.step
	for _, failure := range l.failures[:min(len(l.failures), maxMessages)] {
		op.say("error: %v", failure)
	}
}

// prove compares the table with what the clients know, and says what is proved.
func (r *result) prove(ctx context.Context, op *operator, o options) error {
	acked := op.load.acked()
	lost, err := lostWrites(ctx, op.db, o.rows, acked)
	if err != nil {
		return err
	}
	r.LostWrites = int64(len(lost))
	for _, line := range lost[:min(len(lost), maxMessages)] {
		op.say("lost: %s", line)
	}
	verdict := func(wrong int64) string {
		if wrong > 0 {
			return "WRONG"
		}
		return "proved"
	}
	op.say("%s: every request was answered rightly at the first try, through %d restarts", verdict(r.Errors), r.Restarts)
	op.say("%s: every acknowledged write is there, of %d users, and every row of the start", verdict(r.LostWrites), len(acked))
	op.say("%s: user_name equalled full_name in %d comparisons of all rows, and in every read", verdict(r.Differences), op.compared)
	return nil
}
