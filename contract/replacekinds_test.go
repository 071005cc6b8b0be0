package contract_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// The new table has the old one's columns and takes its name: an old binary, and a prepared statement of it, never notice.
func TestReplaceKeepName(t *testing.T) {
	t.Parallel()
	r := expand.Replace(expand.ReplaceSpec{Table: "orders", Into: "orders_v2", IntoKey: []string{"created_at", "id"}, KeepName: true})
	create := strings.Replace(ordersSQL, "total_cents bigint", "total numeric(10,2)", 1)
	w := &walker{T: t, ctx: t.Context(), db: pgtest.New(t), pair: r}
	w.exec(create)
	require.ErrorContains(t, expand.Apply(t.Context(), w.db, r, expand.Options{}), "column created_at timestamp with time zone NOT NULL: an old INSERT may leave it out")
	c := newClerk(t, create+`; ALTER TABLE orders_v2 ALTER COLUMN created_at SET DEFAULT now()`, r)
	conn, err := c.db.Connx(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	update, err := conn.PreparexContext(t.Context(), `UPDATE orders SET email = $2 WHERE id = $1`)
	require.NoError(t, err)
	read, err := conn.PreparexContext(t.Context(), `SELECT email FROM orders WHERE id = $1`)
	require.NoError(t, err)
	use := func(name string) {
		t.Helper()
		var got string
		_, err := update.Exec(3, name)
		require.NoError(t, err)
		require.NoError(t, read.Get(&got, 3))
		require.Equal(t, name, got)
		require.NoError(t, r.Do(t.Context(), c.member, func(f *expand.Tables) error {
			return c.db.GetContext(t.Context(), &got, `SELECT email FROM `+f.From()+` WHERE id = 3`)
		}))
		require.Equal(t, name, got)
		c.exec(`INSERT INTO orders (total) VALUES (1)`)
	}
	use("Start")
	c.toContractTable()
	use("Contract")
	c.revert(switchover.Switch)
	use("back")
	c.advance(switchover.Contract)
	use("again")
	c.apply(contract.Drop)
	c.refresh(switchover.Complete)
	use("Complete")
	require.Equal(t, 1005, c.number(`SELECT count(*) FROM orders`))
	require.NoError(t, expand.Apply(t.Context(), c.db, r, expand.Options{}))
}

// What would go on with the old table under its new name, or goes with it, is named before.
func TestReplaceFollowers(t *testing.T) {
	t.Parallel()
	c := newClerk(t, ordersSQL, orders)
	c.exec(`CREATE TABLE lines (order_id bigint REFERENCES orders);
		CREATE VIEW paid AS SELECT * FROM orders WHERE status = 'paid';
		CREATE SEQUENCE own OWNED BY orders.total;
		ALTER TABLE orders_v2 ALTER COLUMN total_cents SET DEFAULT nextval('own')`)
	c.advance(switchover.Expand)
	c.advance(switchover.Migrate)
	c.copied()
	c.advance(switchover.Switch)
	closed := func(to switchover.Phase) (out []string) {
		waived := quick
		waived.Waive = map[string]string{"members": "the clerk may not have said so yet"}
		gates, err := switchover.Gates(t.Context(), c.db, orders.Name(), to, waived)
		require.NoError(t, err)
		for _, g := range gates {
			out = append(out, g.Name+fmt.Sprint(g.Waivable)+" "+strings.Fields(g.Missing)[0])
		}
		return out
	}
	require.Equal(t, []string{"dependentstrue foreign", "dependentsfalse sequence", "dependentstrue view"}, closed(switchover.Contract))
	c.exec(`ALTER SEQUENCE own OWNED BY orders_v2.total_cents`)
	waived := quick
	waived.Waive = map[string]string{"dependents": "until tomorrow"}
	require.NoError(t, switchover.Advance(t.Context(), c.db, orders.Name(), switchover.Contract, waived))
	c.refresh(switchover.Contract)
	c.exec(`UPDATE orders_v2 SET status = 'paid' WHERE id = 1`)
	require.Equal(t, 1, c.number(`SELECT count(*) FROM paid`), "the view reads what is mirrored")
	require.Equal(t, []string{"dependentsfalse foreign", "dependentsfalse view"}, closed(switchover.Complete))
	c.exec(`DROP VIEW paid; DROP TABLE lines`)
	c.apply(contract.Drop)
}

// Without Backward the old table stands still from the swap on, and binds nobody; there is no way back.
func TestReplaceOneWay(t *testing.T) {
	t.Parallel()
	r := expand.Replace(expand.ReplaceSpec{Table: "orders", Into: "orders_v2", IntoKey: []string{"created_at", "id"}, Columns: map[string]string{"total_cents": "{total} * 100"}})
	c := newClerk(t, `CREATE TABLE people (email text PRIMARY KEY); INSERT INTO people SELECT 'o' || i FROM generate_series(1, 1000) i;`+ordersSQL+
		`; ALTER TABLE orders ADD FOREIGN KEY (email) REFERENCES people`, r)
	c.toContractTable()
	c.exec(`DELETE FROM orders_v2 WHERE email = 'o7'; DELETE FROM people WHERE email = 'o7'`)
	err := switchover.Revert(t.Context(), c.db, r.Name(), switchover.Switch, quick)
	require.ErrorIs(t, err, switchover.ErrStep)
	require.ErrorContains(t, err, "no way back: column total of orders is read on the way forward")
	c.apply(contract.Drop)
}

func TestReplaceUndo(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, ordersSQL, orders)
	w.exec(`UPDATE orders SET email = ''`)
	require.NoError(t, expand.Undo(t.Context(), w.db, orders, expand.Options{}))
	require.Zero(t, w.number(`SELECT count(*) FROM orders_v2`))
	require.Zero(t, w.number(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz%'`))
	require.NoError(t, expand.Apply(t.Context(), w.db, orders, expand.Options{}))
	require.NoError(t, expand.Undo(t.Context(), w.db, orders, expand.Options{}))
}

// The swap waits for readers too, who would lose the name under their feet, and lets go.
func TestReplaceWaitsForReaders(t *testing.T) {
	t.Parallel()
	c := newClerk(t, ordersSQL, orders)
	c.advance(switchover.Expand)
	c.advance(switchover.Migrate)
	c.copied()
	few := quick
	few.Canary.Share, few.Wait = 0.5, false
	require.ErrorContains(t, switchover.Advance(t.Context(), c.db, orders.Name(), switchover.Switch, few), "canary: a replaced table is read from as a whole")
	c.advance(switchover.Switch)
	require.ErrorIs(t, switchover.SetCanary(t.Context(), c.db, orders.Name(), switchover.Canary{Share: 0.5}, quick), switchover.ErrStep)
	once := quick
	once.LockTimeout, once.Attempts = time.Millisecond, 1
	for _, table := range []string{"orders", "orders_v2"} {
		release := c.hold(`SELECT FROM ` + table)
		err := switchover.Advance(t.Context(), c.db, orders.Name(), switchover.Contract, once)
		require.Equal(t, pg.LockNotAvailable, pg.SQLState(err), "%v", err)
		c.use()
		release()
	}
	require.NoError(t, switchover.Advance(t.Context(), c.db, orders.Name(), switchover.Contract, once))
}

// Either table may be partitioned.
func TestReplacePartitionedByPlain(t *testing.T) {
	t.Parallel()
	r := expand.Replace(expand.ReplaceSpec{Table: "events", Into: "events_v2", Key: []string{"day", "id"}})
	c := newClerk(t, `CREATE TABLE events (id int, day int, note text, PRIMARY KEY (day, id)) PARTITION BY LIST (day);
		CREATE TABLE events_0 PARTITION OF events FOR VALUES IN (0); CREATE TABLE events_rest PARTITION OF events DEFAULT;
		INSERT INTO events SELECT i, i % 5, i FROM generate_series(1, 500) i;
		CREATE TABLE events_v2 (id int, day int, note text, PRIMARY KEY (day, id))`, r)
	differ := func(old string) int {
		return c.number(`SELECT count(*) FROM ` + old + ` a FULL JOIN events_v2 b USING (day, id) WHERE a.note IS DISTINCT FROM b.note`)
	}
	c.exec(`UPDATE events SET day = day + 1 WHERE id < 100; DELETE FROM events WHERE id > 490; INSERT INTO events_0 VALUES (1000, 0, 'x')`)
	c.toContractTable()
	require.Equal(t, 491, c.number(`SELECT count(*) FROM events_v2`))
	require.Zero(t, differ("events_replaced"))
	c.exec(`UPDATE events_v2 SET day = 0, note = 'y' WHERE id < 10; UPDATE events_v2 SET day = 7 WHERE id BETWEEN 10 AND 20; DELETE FROM events_v2 WHERE day = 3`)
	require.Zero(t, differ("events_replaced"))
	c.revert(switchover.Switch)
	c.exec(`UPDATE events SET day = 0 WHERE day = 7`)
	require.Zero(t, differ("events"))
}

// order is a model of the new table, of columns that both have.
type order struct {
	ID      int64     `db:"id" tandem:"default"`
	Created time.Time `db:"created_at"`
	Email   string    `db:"email"`
}

// The repository reads and writes in every phase by the names of the new table.
func TestReplaceRepository(t *testing.T) {
	t.Parallel()
	r := expand.Replace(expand.ReplaceSpec{Table: "orders", Into: "orders_v2", IntoKey: []string{"created_at", "id"}})
	c := newClerk(t, strings.NewReplacer("total_cents bigint", "total numeric(10,2)", "total numeric(10,2) NOT NULL", "total numeric(10,2) NOT NULL DEFAULT 0").Replace(ordersSQL)+
		`; ALTER TABLE orders_v2 ALTER total SET DEFAULT 0`, r)
	list, err := expand.NewRepository[order](c.db, c.member, r)
	require.NoError(t, err)
	use := func() {
		t.Helper()
		o := order{Created: time.Date(2026, 2, 7, 0, 0, 0, 0, time.UTC), Email: c.member.Phase(r.Name()).String()}
		require.NoError(t, list.Insert(t.Context(), &o))
		require.NotZero(t, o.ID)
		got, err := list.Get(t.Context(), o.Created, o.ID)
		require.NoError(t, err)
		require.Equal(t, o.Email, got.Email)
		require.NoError(t, list.InTx(t.Context(), nil, func(ctx context.Context, tx *expand.Tx) error {
			o.Email += "!"
			return list.In(tx).Update(ctx, &o)
		}))
		found, err := list.Select(t.Context(), `WHERE orders_v2.email = $1 LIMIT 2`, o.Email)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NoError(t, list.Delete(t.Context(), o.Created, o.ID))
		_, err = list.Get(t.Context(), o.Created, o.ID)
		require.ErrorIs(t, err, sql.ErrNoRows)
	}
	use()
	for _, to := range []switchover.Phase{switchover.Expand, switchover.Migrate, switchover.Switch, switchover.Contract} {
		if to == switchover.Switch {
			c.copied()
		}
		c.advance(to)
		use()
	}
	c.apply(contract.Drop)
	use() // whoever does not know yet
	c.refresh(switchover.Complete)
	use()
}
