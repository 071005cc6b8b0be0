// Command service takes an HTTP service through the rename of a column, users.user_name to users.full_name, and through all the rolling
// restarts that this takes: to the release with the pair, back to the old one in each phase and forth again, and to the one without the pair.
//
//	go run ./examples/service
//
// Read service.go, the startup hook and the graceful stop, and story.go, the migration and its deploys. The rest is the stage: the releases
// (release.go) and their API (routes.go) run in processes of this same binary (process.go, fleet.go) behind a balancer (balancer.go), which
// never tries a request twice, and neither do the clients (load.go, client.go). At the end the program proves that each request was answered
// rightly, and that no acknowledged write is lost (proof.go). The exit code is 0 when that is so, 1 when not, 2 for a bad flag.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/lib/pq"

	"github.com/tandem-go/tandem/examples/internal/fresh"
)

// Bounds of the flags: each client needs users of its own, and each backend some connections of the server's 100.
const (
	maxClients  = 100
	maxBackends = 10
)

func main() { os.Exit(run()) }

func run() int {
	if name := os.Getenv(releaseVariable); name != "" {
		return child(name)
	}
	var o options
	flag.Int64Var(&o.rows, "rows", 20_000, "rows of the table at the start")
	flag.IntVar(&o.backends, "backends", 3, "processes of the service")
	flag.Int64Var(&o.clients, "clients", 8, "clients that send requests")
	flag.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "service:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	database, err := fresh.Open(ctx, "service", os.Stderr)
	code := 1
	if err == nil {
		code = perform(ctx, database.DSN, o, os.Stdout, os.Stderr)
		err = database.Close(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "service:", err)
		return 1
	}
	return code
}

func (o options) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q: there are only flags", args[0])
	case o.backends < 1 || o.backends > maxBackends:
		return fmt.Errorf("-backends %d: must lie between 1 and %d", o.backends, maxBackends)
	case o.clients < 1 || o.clients > maxClients:
		return fmt.Errorf("-clients %d: must lie between 1 and %d", o.clients, maxClients)
	case o.rows < o.clients:
		return fmt.Errorf("-rows %d: must be at least one for each of %d clients", o.rows, o.clients)
	}
	return nil
}
