// Package crash_test kills the operator's process, and the server, at every message of every step of a migration, while programs write.
package crash_test

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

var crashStep = flag.Int("crash.step", 79, "crash at every n-th point; 1: at all of them")

// point is a moment of one operation: its n-th message to the server.
type point struct {
	operation
	step int // index in walk
	at   int64
	when moment
}

// campaign takes one kind of crash through all points.
type campaign struct {
	*testing.T
	srv  *server.Server
	kill func(t *testing.T, p point, dsn string) (reached bool)

	settle bool // a copied database is written to disk first: see copied

	next  int // counts moments up to the next point, from the first of the operation
	tried [moments]int
	tally tally
}

// run disturbs one operation after the other, each from where the undisturbed ones before it have led.
func (c *campaign) run() {
	c.Helper()
	dsn := c.copied(c.T, "template0")
	db, base := c.own(dsn)
	db.MustExec(usersSQL)
	require.NoError(c, db.Close())
	for i, op := range walk {
		before, after, messages, name := c.undisturbed(op, base)
		if !op.calm {
			c.Run(fmt.Sprintf("%d %s", i, op.name), func(t *testing.T) { c.disturb(t, i, base, messages, before, after) })
		}
		base = name
	}
	total := 0
	for m, n := range c.tried {
		c.Logf("%d kills %s a message", n, moment(m))
		require.Positive(c, n)
		total += n
	}
	c.Logf("%d kills in all; of the writes %+v", total, c.tally)
	require.Greater(c, total, 15)
	require.Positive(c, c.tally.acknowledged)
}

// undisturbed is what the operation does when nothing happens, how many messages that takes, and the database that it leaves.
func (c *campaign) undisturbed(op operation, base string) (before, after state, messages int64, name string) {
	c.Helper()
	dsn := c.copied(c.T, base)
	db, name := c.own(dsn)
	before = read(c.T, db)
	w := &wire{}
	counted, err := open(dsn, w)
	require.NoError(c, err)
	require.NoError(c, op.do(c.Context(), counted), op.name)
	messages = w.sent.Load()
	require.NoError(c, counted.Close())
	after = read(c.T, db)
	values(c.T, db)
	require.NoError(c, db.Close())
	return before, after, messages, name
}

// copied copies a database. On a server that is to crash a checkpoint follows: a sequence takes its next 32 values without a record in the log, and in a copy of
// it, which is in the log as it was at that time, recovery goes back to a value that was given out already. After a checkpoint it writes a record first.
func (c *campaign) copied(t *testing.T, base string) string {
	t.Helper()
	dsn := pgtest.CopyOn(t, c.srv, base)
	if c.settle {
		db := pgtest.Open(t, dsn)
		db.MustExec(`CHECKPOINT`)
		require.NoError(t, db.Close())
	}
	return dsn
}

// own opens a database and tells its name.
func (c *campaign) own(dsn string) (db *sqlx.DB, name string) {
	c.Helper()
	db = pgtest.Open(c, dsn)
	require.NoError(c, db.GetContext(c.Context(), &name, `SELECT current_database()`))
	return db, name
}

// disturb crashes at message after message until an operation comes through without one. With the flag's step it also ends where the undisturbed one did.
func (c *campaign) disturb(t *testing.T, step int, base string, messages int64, was, want state) {
	t.Helper()
	for {
		p := point{operation: walk[step], step: step, at: int64(1 + c.next/int(moments)), when: moment(c.next % int(moments))}
		if *crashStep > 1 && p.at > messages {
			break
		}
		reached := false
		t.Run(fmt.Sprintf("%s message %d", p.when, p.at), func(t *testing.T) { reached = c.once(t, p, base, was, want) })
		if !reached {
			break
		}
		c.tried[p.when]++
		c.next += *crashStep
	}
	c.next = max(0, c.next-int(moments)*int(messages))
}

// once crashes at a point, does the operation again, and compares.
func (c *campaign) once(t *testing.T, p point, base string, was, want state) (reached bool) {
	t.Helper()
	dsn := c.copied(t, base)
	db := pgtest.Open(t, dsn)
	f := newFleet(t, dsn, db)
	if !p.bare {
		f.join()
	}
	f.atWork()
	reached = c.kill(t, p, dsn)
	if p.bare {
		f.join()
	}
	again(t, p, dsn)
	f.atWork()
	f.end()
	require.False(t, t.Failed(), "a writer has stopped")
	require.Empty(t, differ(want, read(t, db)))
	have := values(t, db)
	for _, w := range f.all() {
		require.NoError(t, w.check(have))
		c.tally.add(w.tally)
	}
	admitted(t, f.old, db, was, want)
	return reached
}

// again does the operation until it is done.
func again(t *testing.T, p point, dsn string) {
	t.Helper()
	db := pgtest.Open(t, dsn)
	if p.pass {
		gone(t, db)
		db.MustExec(`UPDATE tandem.backfill SET updated_at = updated_at - interval '11 s' WHERE owner <> ''`) // the lease is over
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	if err := p.do(ctx, db); !done(err) {
		require.NoError(t, err, "again")
	}
}

// admitted checks who may write only old: where the guard admits that, nothing was refused and each write is on record; where it does not, nothing went through.
func admitted(t *testing.T, old *writer, db *sqlx.DB, was, want state) {
	t.Helper()
	switch {
	case was.admitsOld() && want.admitsOld():
		require.Zero(t, old.refused)
	case !was.admitsOld() && !want.admitsOld():
		require.Zero(t, old.acknowledged)
	}
	if was.guard == "repair" && want.guard == "repair" {
		var strays int
		require.NoError(t, db.GetContext(t.Context(), &strays, `SELECT count(*) FROM tandem.stray WHERE application = $1`, oldName))
		require.GreaterOrEqual(t, strays, old.acknowledged)
	}
}
