package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-go/tandem/internal/server"
)

// startTime is for a server whose image has to be pulled first.
const startTime = 5 * time.Minute

// shared is the one server of the process.
var shared struct {
	once sync.Once
	srv  *server.Server
	err  error
}

// Server returns the one server of the process, started by the first call.
// Without one the test is skipped, or fails if CI=true.
func Server(t testing.TB) *server.Server {
	t.Helper()
	for _, name := range []string{"TANDEM_DSN", "TANDEM_SERVER", "TANDEM_IMAGE", "DOCKER_HOST", "PATH"} {
		_ = os.Getenv(name) // go test's cache knows what is asked for while tests run, and MainWithExamples may have started the server before
	}
	shared.once.Do(start)
	if shared.err == nil {
		return shared.srv
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("pgtest: %v", shared.err)
	}
	t.Skipf("pgtest: %v", shared.err)
	return nil
}

// start has a context of its own: the server outlives the test that asked first.
func start() {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	shared.srv, shared.err = server.Start(ctx, server.Options{Log: os.Stderr})
}

// Main runs the tests of a package, closes the server and exits. Call it from
// TestMain; without it the server ends a little later, see package server.
func Main(m *testing.M) {
	go interrupted()
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// interrupted closes the server at Ctrl-C, which would end the process without.
func interrupted() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	signal.Stop(signals) // a second one ends the process at once
	_ = stop()
	os.Exit(130)
}

// stop closes the server. If none was started, none will be.
func stop() error {
	shared.once.Do(func() { shared.err = errors.New("the tests are over") })
	if shared.srv == nil {
		return nil
	}
	return shared.srv.Close()
}
