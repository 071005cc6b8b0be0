package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Cut is a network that breaks once. It counts what the client sends, over all
// its connections; every message of the protocol that waits for an answer is one.
type Cut struct {
	At    int64 // the message that it breaks at, from 1 on; 0: never
	After bool  // the server has carried the message out, and its answer is lost; false: the server never sees the message
	sent  atomic.Int64
	next  atomic.Int64 // besides At, set while the connections are in use
}

// Sent is how many messages were sent.
func (c *Cut) Sent() int64 { return c.sent.Load() }

// Next makes it break at the next message.
func (c *Cut) Next() { c.next.Store(c.Sent() + 1) }

// Reached tells whether it has broken.
func (c *Cut) Reached() bool { return c.At > 0 && c.Sent() >= c.At }

// ErrCut is the error of the broken connection.
var ErrCut = errors.New("the connection was cut")

// OpenCut opens a pool whose network is c.
func OpenCut(t testing.TB, dsn string, c *Cut) *sqlx.DB {
	t.Helper()
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		t.Fatalf("pgtest: open %s: %v", dsn, err)
	}
	connector.Dialer(c)
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Dial makes Cut a dialer of lib/pq, together with the next two.
func (c *Cut) Dial(network, address string) (net.Conn, error) {
	return c.DialContext(context.Background(), network, address)
}

// DialTimeout dials for so long at most.
func (c *Cut) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.DialContext(ctx, network, address)
}

// DialContext dials until ctx ends.
func (c *Cut) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cut: c}, nil
}

type cutConn struct {
	net.Conn
	cut  *Cut
	lost atomic.Bool // the next answer
}

func (c *cutConn) Write(b []byte) (int, error) {
	if n := c.cut.sent.Add(1); n != c.cut.At && n != c.cut.next.Load() {
		return c.Conn.Write(b)
	}
	if c.cut.After {
		c.lost.Store(true)
		return c.Conn.Write(b)
	}
	_ = c.Close()
	return 0, ErrCut
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lost.Load() { // it has come, so the server is done
		_ = c.Close()
		return 0, ErrCut
	}
	return n, err
}
