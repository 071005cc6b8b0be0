package pgtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/jmoiron/sqlx"
)

// MainWithExamples is Main for a package whose Examples use a database. An Example cannot be skipped, so where there is no server none is run, unless CI=true.
func MainWithExamples(m *testing.M) {
	flag.Parse()
	shared.once.Do(start)
	if run := flag.Lookup("test.run"); shared.err != nil && os.Getenv("CI") != "true" && run.Value.String() == "" {
		_ = run.Value.Set("^Test")
	}
	Main(m)
}

// Example gives an Example a fresh database, and what drops it.
func Example() (db *sqlx.DB, drop func()) {
	t := &example{}
	return New(t), t.end
}

// example is as much of a testing.TB as databases need.
type example struct {
	testing.TB
	cleanups []func()
}

func (*example) Helper() {}

func (*example) Context() context.Context { return context.Background() }

func (e *example) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (*example) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (e *example) Skipf(format string, args ...any) { e.Fatalf(format, args...) }

func (*example) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func (e *example) end() {
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		e.cleanups[i]()
	}
}
