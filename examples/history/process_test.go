package history_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// Variables that make this binary a member in a process of its own.
const (
	dsnVariable  = "TANDEM_HISTORY_DSN"
	nameVariable = "TANDEM_HISTORY_NAME"
	pairVariable = "TANDEM_HISTORY_PAIR"
	seedVariable = "TANDEM_HISTORY_SEED"
)

var pairs = map[string]*expand.Pair[string, string]{"renamed": renamed, "in Go": goOnly}

// report is what such a process did.
type report struct {
	Events  []event
	Refused int
	Unknown int
	Failure string
}

// process acts until its standard input ends, and then writes its report.
func process(dsn string) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	h := &history{}
	if err := act(ctx, dsn, h); err != nil {
		h.fail(err)
	}
	out := report{Events: h.events, Refused: h.refused, Unknown: h.unknown}
	if len(h.failures) > 0 {
		out.Failure = h.failures[0].Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return 1
	}
	return 0
}

func act(ctx context.Context, dsn string, h *history) error {
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		return err
	}
	db, err := sqlx.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	a := &actor{name: os.Getenv(nameVariable), h: h, db: db, pair: pairs[os.Getenv(pairVariable)], rng: rand.New(rand.NewPCG(seed, 1))}
	m, err := switchover.Join(ctx, db, a.joining())
	if ctx.Err() != nil {
		return nil // the walk was over first
	}
	if err != nil {
		return err
	}
	a.wrapped(ctx, m, sql.LevelReadCommitted)
	return m.Leave(context.WithoutCancel(ctx))
}

// inProcess runs a member in a process of its own; stopped, it is stopped again and again for as long as several polls.
func inProcess(stopped bool) func(ctx context.Context, f *fleet, a *actor) {
	return func(ctx context.Context, f *fleet, a *actor) {
		r, err := f.child(ctx, a, stopped)
		if err == nil && r.Failure != "" {
			err = fmt.Errorf("%s: %s", a.name, r.Failure)
		}
		if err != nil {
			f.h.fail(err)
			return
		}
		f.h.add(r.Events...)
		f.h.mu.Lock()
		defer f.h.mu.Unlock()
		f.h.refused += r.Refused
		f.h.unknown += r.Unknown
	}
}

func (f *fleet) child(ctx context.Context, a *actor, stopped bool) (r report, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dsnVariable+"="+f.dsn, nameVariable+"="+a.name, pairVariable+"="+map[bool]string{true: "in Go", false: "renamed"}[f.pair == goOnly],
		seedVariable+"="+strconv.FormatUint(f.seed, 10))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	for ctx.Err() == nil {
		_ = pg.Sleep(ctx, time.Duration(a.rng.Int64N(int64(300*time.Millisecond))))
		if stopped {
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			_ = pg.Sleep(ctx, time.Duration(a.rng.Int64N(int64(900*time.Millisecond))))
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	_ = stdin.Close()
	err = json.NewDecoder(stdout).Decode(&r)
	return r, errors.Join(err, cmd.Wait())
}
