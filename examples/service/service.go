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

// Times of a stop. Together they must be shorter than what your platform waits between SIGTERM and SIGKILL (Kubernetes: 30 s).
const (
	noticeTime = 100 * time.Millisecond // the balancer notices that we are not ready; here it knows before, in life take 5 s
	finishTime = 20 * time.Second       // requests that have begun come to their end
)

// serve is the life of a process, to be copied: it starts, serves until ctx ends, which is at SIGTERM, and stops so that nobody notices. The
// order of the end is what counts: no new requests, then the running ones, then the member, and the pool last. A member that left earlier
// would not be waited for while its requests still write as its phase has it; a pool that closed earlier would fail them.
func serve(ctx context.Context, dsn string, r release, listening func(net.Addr) error) (err error) {
	db, err := sqlx.ConnectContext(ctx, "postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)

	users, member, err := r(ctx, db)
	if err != nil {
		return err
	}
	if member != nil { // a release without the pair has none
		defer func() { err = errors.Join(err, member.Leave(context.WithoutCancel(ctx))) }()
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(users, func() bool { return ctx.Err() == nil }), ReadHeaderTimeout: finishTime}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if err := listening(listener.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-ended:
		return err // it cannot listen any more
	case <-ctx.Done(): // SIGTERM: from now on /ready says no
	}
	<-time.After(noticeTime) // requests that the balancer still sends are served
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	return server.Shutdown(ctx)
}
