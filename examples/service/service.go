package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// startup is the startup hook of the release with the pair, to be copied: a member, and a repository that asks it for the phase.
func startup(ctx context.Context, db *sqlx.DB) (store, *switchover.Member, error) {
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{
		Service: "users",
		Poll:    250 * time.Millisecond, // a quarter of the default, to keep the example short
	})
	if err != nil {
		return nil, nil, err
	}
	users, err := expand.NewRepository[User](db, member, FullName)
	if err != nil {
		return nil, nil, errors.Join(err, member.Leave(ctx))
	}
	return wrapped{users}, member, nil
}

// serve is the life of a process: it starts, serves until ctx ends, which is at SIGTERM, and stops.
func serve(ctx context.Context, dsn string, r release, listening func(net.Addr)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	db, err := sqlx.ConnectContext(ctx, "postgres", dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	users, member, err := r(ctx, db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	// Requests have contexts of their own, not ctx: SIGTERM must not end them.
	server := &http.Server{Handler: routes(users, func() bool { return ctx.Err() == nil }), ReadHeaderTimeout: finishTime}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	listening(listener.Addr())
	select {
	case err = <-ended: // it cannot listen any more
	case <-ctx.Done(): // SIGTERM: from now on /ready says no
	}
	return errors.Join(err, stop(server, member, db))
}

// Times of a stop. Together they must be shorter than what your platform waits between SIGTERM and SIGKILL (Kubernetes: 30 s).
const (
	noticeTime = 100 * time.Millisecond // for a balancer to see that we are not ready; here it knows before, in life take 5 s
	finishTime = 20 * time.Second       // for requests that have begun, and to leave
)

// stop is the graceful stop, to be copied. Its order is what counts: the member leaves after the last request, because until then gates must
// wait for it, and before the pool closes, because it needs one more statement. A member that cannot leave is waited for until its lease is over.
func stop(server *http.Server, member *switchover.Member, db *sqlx.DB) error {
	<-time.After(noticeTime) // what the balancer still sends is served
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	err := server.Shutdown(ctx) // listens no more, and waits for the requests
	if member != nil {          // a release without the pair has none
		err = errors.Join(err, member.Leave(ctx))
	}
	return errors.Join(err, db.Close())
}
