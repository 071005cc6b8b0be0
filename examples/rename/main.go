// Command rename renames a column of a live table: users.user_name becomes users.full_name while five services read and write it, one of
// them an old binary that knows only user_name.
//
//	go run ./examples/rename
//
// It finds or starts a PostgreSQL server (see package internal/server: TANDEM_DSN, Docker, local binaries), works in a database of its
// own, which it drops at the end, and leaves nothing behind. Read story.go: that is the migration. The rest of the program is the load
// and the proof: the services are processes of this same binary (service.go), each keeps a record of the writes that PostgreSQL
// acknowledged (record.go), and proof.go compares those records, both columns and the catalog.
//
// The exit code is 0 when no operation failed, no acknowledged write is lost and nothing differs; 1 when something did; 2 for a bad flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/lib/pq"
)

// options are the flags.
type options struct {
	rows    int64
	seconds int
	json    bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr *os.File) int {
	if name := os.Getenv(serviceVariable); name != "" {
		return serve(name, os.Stdin, stdout, stderr)
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	defer stop()

	out := stdout
	if o.json {
		out = stderr // nothing but the object on stdout
	}
	began := time.Now()
	res, err := play(ctx, o, out)
	res.Seconds = seconds(time.Since(began))
	if err != nil {
		res.Error = err.Error()
	}
	if o.json {
		err = errors.Join(err, res.writeJSON(stdout))
	} else {
		res.write(out)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "rename:", err)
		return 1
	}
	if !res.good() {
		return 1
	}
	return 0
}

// Bounds of -rows: every lane of writers needs rows of its own (see lanes), and the proof must end some day.
const (
	minRows = 100
	maxRows = 100_000_000
)

// parse reads the flags, and prints what is wrong with them.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("rename", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Int64Var(&o.rows, "rows", 200_000, "rows of the table at the start")
	set.IntVar(&o.seconds, "seconds", 24, "how long the services run at least, spread over the phases")
	set.BoolVar(&o.json, "json", false, "print one JSON object; the story goes to stderr")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case set.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: there are only flags", set.Arg(0))
	case o.rows < minRows || o.rows > maxRows:
		err = fmt.Errorf("-rows %d: must lie between %d and %d", o.rows, minRows, maxRows)
	case o.seconds < 1 || o.seconds > 86_400:
		err = fmt.Errorf("-seconds %d: must lie between 1 and 86400", o.seconds)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "rename:", err)
	}
	return o, err
}
