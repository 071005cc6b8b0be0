package contract_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// trial is a conversion of items.a to items.b, and what each value must become: stated by hand, as PostgreSQL shows it.
type trial[O, N any] struct {
	before string // SQL for the types that it needs
	a, b   string // SQL types of old and new
	spec   expand.Spec[O, N]
	values []value
	bad    []string // old values that do not convert, as SQL
	shown  string   // SQL that shows b where b::text says nothing, as of a ciphertext; defaults to b::text
}

// value is one old value.
type value struct {
	old  string // SQL
	new  string // b::text, or NULL
	back string // SQL of what old may also be in a row that wrappers wrote from what they read; defaults to old
}

// thing is a model in its final shape.
type thing[N any] struct {
	ID int64 `db:"id" tandem:"default"`
	V  int   `db:"v"` // the place of its value in the table of values
	W  bool  `db:"w"` // written by a wrapper
	B  N     `db:"b"`
}

// expectation gives each row of items the line that it must match.
const expectation = `CREATE TABLE expectation (v int PRIMARY KEY, a text, b text, back text)`

// track is a trial on its way.
type track[O, N any] struct {
	*walker
	trial[O, N]
	pair   *expand.Pair[O, N]
	things *expand.Repository[thing[N]]
	oneWay bool
	found  *tally
}

// tally is a line of the table of conversions.
type tally struct {
	name, form                 string
	compared, differences, bad int
}

// walk takes one form of a conversion to the end, and where there is a way back, back from Contract before.
func (c trial[O, N]) walk(t *testing.T, found *tally) {
	t.Helper()
	c.spec.Table, c.spec.Old, c.spec.New, c.spec.Type = "items", "a", "b", c.b
	k := &track[O, N]{trial: c, pair: expand.Convert(c.spec), found: found, oneWay: c.spec.Backward == nil}
	k.walker = newLonelyWalker(t, c.create(), k.pair)
	k.join()
	k.unconvertible()
	k.wrappers()
	k.advance(switchover.Expand)
	k.everybody()
	k.advance(switchover.Migrate)
	k.everybody()
	res, err := backfill.Run(k.ctx, k.db, k.pair, backfill.Options{Batch: 100, Stripes: 1})
	require.NoError(t, err)
	require.EqualValues(t, len(c.bad), res.BadRows)
	k.exec(`DELETE FROM items WHERE v < 0`)
	k.copied()
	k.compare(true)
	k.toSwitch()
	k.everybody()
	k.apply(contract.Relax)
	k.advance(switchover.Contract)
	k.wrappers()
	if !k.oneWay {
		k.back()
		k.compare(true)
		k.everybody()
		k.apply(contract.Relax)
		k.advance(switchover.Contract)
		k.wrappers()
	}
	k.compare(false)
	k.end()
	k.wrappers()
	k.compare(false)
}

// create makes the table with each value once, and the values that do not convert.
func (c trial[O, N]) create() string {
	var b strings.Builder
	b.WriteString(c.before + `; CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int NOT NULL, w boolean NOT NULL DEFAULT false, a ` + c.a + `);
		CREATE INDEX ON items (a); ` + expectation)
	for i, v := range c.values {
		back := "(" + v.old + ")::" + c.a
		if v.back != "" {
			back = v.back
		}
		fmt.Fprintf(&b, "; INSERT INTO items (v, a) VALUES (%d, %s)", i, v.old)
		fmt.Fprintf(&b, "; INSERT INTO expectation VALUES (%d, ((%s)::%s)::text, %s, (%s)::text)", i, v.old, c.a, literal(v.new), back)
	}
	for _, old := range c.bad {
		b.WriteString("; INSERT INTO items (v, a) VALUES (-1, " + old + ")")
	}
	return b.String()
}

func literal(s string) string {
	if s == "NULL" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func (k *track[O, N]) join() {
	k.Helper()
	var err error
	k.member, err = switchover.Join(k.ctx, k.db, switchover.JoinOptions{Service: "test", Poll: 20e6})
	require.NoError(k, err)
	k.Cleanup(func() { _ = k.member.Leave(context.WithoutCancel(k.ctx)) })
	k.things, err = expand.NewRepository[thing[N]](k.db, k.member, k.pair)
	require.NoError(k, err)
}

// unconvertible reads the bad values through the wrapper: each is an error.
func (k *track[O, N]) unconvertible() {
	k.Helper()
	var ids []int64
	require.NoError(k, k.db.SelectContext(k.ctx, &ids, `SELECT id FROM items WHERE v < 0`))
	require.Len(k, ids, len(k.bad))
	for _, id := range ids {
		got, err := k.things.Get(k.ctx, id)
		require.Error(k, err, "%v", got)
	}
	k.found.bad = len(ids)
}

// everybody writes each value: an old binary inserts it and another row becomes it, and a wrapper writes what it reads of it.
func (k *track[O, N]) everybody() {
	k.Helper()
	for i, v := range k.values {
		another := k.values[(i+1)%len(k.values)].old
		k.exec(fmt.Sprintf(`INSERT INTO items (v, a) VALUES (%d, %s)`, i, v.old))
		id := k.number(fmt.Sprintf(`INSERT INTO items (v, a) VALUES (%d, %s) RETURNING id`, i, another))
		k.exec(fmt.Sprintf(`UPDATE items SET a = %s WHERE id = %d`, v.old, id))
	}
	if k.member.Phase(k.pair.Name()) > switchover.Migrate {
		k.copied()
	}
	k.wrappers()
}

// copied lets the operator's runs convert what only Go can, and no row is left that does not.
func (k *track[O, N]) copied() {
	k.Helper()
	_, err := backfill.Sweep(k.ctx, k.db, k.pair)
	require.NoError(k, err)
	res, err := backfill.Run(k.ctx, k.db, k.pair, backfill.Options{})
	require.NoError(k, err)
	require.Zero(k, res.BadRows)
}

// wrappers reads each value and writes it: a new row, and once more to the same row.
func (k *track[O, N]) wrappers() {
	k.Helper()
	writesOld := k.member.Phase(k.pair.Name()).WritesOld()
	for i, v := range k.values {
		var id int64
		require.NoError(k, k.db.GetContext(k.ctx, &id, `SELECT id FROM items WHERE v = $1 ORDER BY id LIMIT 1`, i))
		row, err := k.things.Get(k.ctx, id)
		require.NoError(k, err, v.old)
		row.ID, row.W = 0, true
		err = k.things.Insert(k.ctx, &row)
		if writesOld && k.oneWay {
			require.ErrorIs(k, err, expand.ErrNoBackward)
			continue
		}
		require.NoError(k, err, v.old)
		require.NoError(k, k.things.UpdateColumns(k.ctx, &row, "b"), v.old)
	}
}

// compare counts the rows whose value is not what was stated. Old counts while it is right: up to Switch.
func (k *track[O, N]) compare(old bool) {
	k.Helper()
	shown := "t.b::text"
	if k.shown != "" {
		shown = k.shown
	}
	differs := shown + " IS DISTINCT FROM e.b"
	if old {
		differs += " OR t.a::text IS DISTINCT FROM e.a AND NOT (t.w AND t.a::text IS NOT DISTINCT FROM e.back)"
	}
	rows := k.number(`SELECT count(*) FROM items`)
	require.Equal(k, rows, k.number(`SELECT count(*) FROM items t JOIN expectation e USING (v)`))
	var lines []string
	require.NoError(k, k.db.SelectContext(k.ctx, &lines, `SELECT concat_ws(' ', t.id, 'wrapper', t.w, 'old', `+map[bool]string{true: `t.a::text, 'wanted', e.back, `}[old]+`'new', `+shown+`, 'wanted', e.b)
		FROM items t JOIN expectation e USING (v) WHERE `+differs+` ORDER BY t.id`))
	k.found.compared += rows
	k.found.differences += len(lines)
	if len(lines) > 0 {
		k.Errorf("%d of %d rows differ, the first:\n%s", len(lines), rows, strings.Join(lines[:min(len(lines), 8)], "\n"))
	}
}
