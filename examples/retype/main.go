// Command retype changes the type of a column of a live table: items.price, double precision, becomes items.price_cents, bigint, converted
// in Go alone, while a shop reads and writes it and an old binary writes price.
//
//	go run ./examples/retype
//
// Read item.go, the pair and the model, and story.go, the migration. The rest is the load (load.go) and the proof (proof.go): no
// acknowledged write is lost, and every row has the cents that it must have. The exit code is 0 when that is so and no operation failed, 1
// when not, 2 for a bad flag. examples/rename is the larger program: five processes, and what becomes of indexes and constraints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"

	"github.com/tandem-go/tandem/examples/internal/fresh"
)

// options are the flags, and what only a test does.
type options struct {
	rows  int64
	json  bool
	spoil func(ctx context.Context, db *sqlx.DB) error // before the proof, which must notice it
}

const minRows = 100 // gives each lane a few

func main() {
	var o options
	flag.Int64Var(&o.rows, "rows", 20_000, "rows of the table at the start")
	flag.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	flag.Parse()
	if flag.NArg() > 0 || o.rows < minRows {
		_, _ = fmt.Fprintf(os.Stderr, "retype: only flags, and -rows of %d at least\n", minRows)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	database, err := fresh.Open(ctx, "retype", os.Stderr)
	code := 1
	if err == nil {
		code = perform(ctx, database.DSN, o, os.Stdout, os.Stderr)
		err = database.Close(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "retype:", err)
		code = 1
	}
	os.Exit(code)
}

// result is the object of -json.
type result struct {
	Operations  int64  `json:"operations"`
	Errors      int64  `json:"errors"`
	LostWrites  int64  `json:"lost_writes"`
	Differences int64  `json:"differences"`
	Error       string `json:"error,omitempty"` // why there is no proof
}

// perform tells the story on stderr and the result on stdout, and returns the exit code.
func perform(ctx context.Context, dsn func(application string) string, o options, stdout, stderr io.Writer) int {
	var r result
	err := r.play(ctx, dsn, o, func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) })
	if err != nil {
		r.Error = err.Error()
		_, _ = fmt.Fprintln(stderr, "retype:", err)
	}
	if o.json {
		err = errors.Join(err, json.NewEncoder(stdout).Encode(r))
	} else {
		_, _ = fmt.Fprintf(stdout, "%d operations, %d errors, %d lost writes, %d differences\n", r.Operations, r.Errors, r.LostWrites, r.Differences)
	}
	if err != nil || r.Errors+r.LostWrites+r.Differences > 0 {
		return 1
	}
	return 0
}

// limit ends a run in which a gate never opens.
const limit = 5 * time.Minute

// play tells the story under load, and proves how it ended. The three pools would be three programs in life.
func (r *result) play(ctx context.Context, dsn func(application string) string, o options, say func(string, ...any)) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pools := map[string]*sqlx.DB{"operator": nil, "shop": nil, oldBinary: nil}
	for name := range pools {
		if pools[name], err = sqlx.ConnectContext(ctx, "postgres", dsn(name)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pools[name].Close()) }()
	}
	if err := createTable(ctx, pools["operator"], o.rows); err != nil {
		return err
	}
	l := newLoad(o.rows)
	op := &operator{db: pools["operator"], load: l, say: say, stopOld: l.start(ctx, l.old(pools[oldBinary]))}
	err = l.serve(ctx, pools["shop"], op.tell)
	op.stopOld()
	for _, failure := range l.failures {
		say("error: %v", failure)
	}
	r.Operations, r.Errors, r.Differences = l.operations, int64(len(l.failures)), op.differences+l.seen.Load()
	if err == nil && o.spoil != nil {
		err = o.spoil(ctx, op.db)
	}
	if err != nil {
		return err
	}
	return r.prove(ctx, op.db, l, "price_cents")
}
