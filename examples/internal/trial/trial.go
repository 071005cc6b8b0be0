// Package trial is what the smaller example programs have in common: a migration under load on a database of its own, and a result that says whether every
// acknowledged write is there.
package trial

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

	"github.com/tandem-go/tandem/examples/internal/fresh"
)

// Program is such an example.
type Program struct {
	Name         string
	Rows, Least  int64                               // rows of the table at the start: by default, and at least
	Applications []string                            // that connect: each has a pool, and would be a program of its own in life
	Play         func(context.Context, *Stage) error // tells the story under load, and proves how it ended
}

// Options are the flags, and what only a test does.
type Options struct {
	Rows  int64
	JSON  bool
	Spoil string // SQL that is run before the proof, which must notice it
}

// Main runs the program by its flags. The exit code is 0 when no operation failed and no write is lost or wrong, 1 when not, 2 for a bad flag.
func Main(p Program) {
	var o Options
	flag.Int64Var(&o.Rows, "rows", p.Rows, "rows of the table at the start")
	flag.BoolVar(&o.JSON, "json", false, "print the result as one JSON object")
	flag.Parse()
	if flag.NArg() > 0 || o.Rows < p.Least {
		_, _ = fmt.Fprintf(os.Stderr, "%s: only flags, and -rows of %d at least\n", p.Name, p.Least)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	database, err := fresh.Open(ctx, p.Name, os.Stderr)
	code := 1
	if err == nil {
		code = p.Perform(ctx, database.DSN, o, os.Stdout, os.Stderr)
		err = database.Close(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		code = 1
	}
	os.Exit(code)
}

// Result is the object of -json.
type Result struct {
	Operations  int64  `json:"operations"`
	Errors      int64  `json:"errors"`
	LostWrites  int64  `json:"lost_writes"`
	Differences int64  `json:"differences"`
	Error       string `json:"error,omitempty"` // why there is no proof
}

// Perform tells the story on stderr and the result on stdout, and returns the exit code.
func (p Program) Perform(ctx context.Context, dsn func(application string) string, o Options, stdout, stderr io.Writer) int {
	s := &Stage{Rows: o.Rows, DB: map[string]*sqlx.DB{}, spoil: o.Spoil}
	s.Say = func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
	err := p.play(ctx, s, dsn)
	r := &s.Result
	if err != nil {
		r.Error = err.Error()
		s.Say("%s: %v", p.Name, err)
	}
	if o.JSON {
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

func (p Program) play(ctx context.Context, s *Stage, dsn func(application string) string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, name := range p.Applications {
		if s.DB[name], err = sqlx.ConnectContext(ctx, "postgres", dsn(name)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.DB[name].Close()) }()
	}
	return p.Play(ctx, s)
}
