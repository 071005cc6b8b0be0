package crash_test

import (
	"context"
	"database/sql"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/server"
)

// moment is when the crash comes, seen from one message of the client to the server.
type moment int

const (
	before  moment = iota // the server never sees the message
	during                // the message is on its way: nobody knows what becomes of it
	after                 // the server has done it, and the answer is lost
	moments               // how many there are
)

func (m moment) String() string { return [...]string{"before", "during", "after"}[m] }

// wire counts the messages that a client sends over all its connections, and calls crash at one of them.
type wire struct {
	at    int64 // from 1 on; 0: never
	when  moment
	crash func()

	sent    atomic.Int64
	crashed atomic.Bool
}

// open opens a pool whose network is w. A statement with parameters is then one message too, where lib/pq otherwise asks for their types first.
func open(dsn string, w *wire) (*sqlx.DB, error) {
	connector, err := pq.NewConnector(server.With(dsn, "", "binary_parameters=yes"))
	if err != nil {
		return nil, err
	}
	connector.Dialer(w)
	return sqlx.NewDb(sql.OpenDB(connector), "postgres"), nil
}

// Dial makes wire a dialer of lib/pq, together with the next two.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(context.Background(), network, address)
}

// DialTimeout dials for so long at most.
func (w *wire) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.DialContext(ctx, network, address)
}

// DialContext dials until ctx ends.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: conn, wire: w}, nil
}

func (w *wire) die() {
	w.crashed.Store(true)
	w.crash()
}

type wireConn struct {
	net.Conn
	wire *wire
	lost atomic.Bool // the next answer
}

// Write leaves it to the connection to find out that the server is gone, as it would by itself.
func (c *wireConn) Write(b []byte) (int, error) {
	if c.wire.sent.Add(1) != c.wire.at {
		return c.Conn.Write(b)
	}
	switch c.wire.when {
	case before:
		c.wire.die()
		return c.Conn.Write(b)
	case during:
		n, err := c.Conn.Write(b)
		c.wire.die()
		return n, err
	default:
		c.lost.Store(true)
		return c.Conn.Write(b)
	}
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lost.Swap(false) { // it has come, so the server is done
		c.wire.die()
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
