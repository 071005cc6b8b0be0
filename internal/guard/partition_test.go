package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
)

// partitionedSQL has a row in step and a row that no backfill has seen; region moves a row between partitions.
const partitionedSQL = `
	CREATE TABLE events (id bigint, region text, a text DEFAULT 'none', b text, b_stamp int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
	CREATE TABLE events_us (b_stamp int, b text, dropped int, a text DEFAULT 'none', region text NOT NULL, id bigint NOT NULL);
	ALTER TABLE events_us DROP COLUMN dropped;
	ALTER TABLE events ATTACH PARTITION events_us FOR VALUES IN ('us');
	INSERT INTO events VALUES (1, 'eu', 'x', 'x', 33554433), (2, 'eu', 'y', NULL, NULL)`

func events(forward, backward string) pair.Definition {
	d := pair.Definition{Table: ident.Table{Schema: "public", Name: "events"}, Key: []string{"id", "region"}, Old: []string{"a"}, New: []string{"b"}, Stamp: "b_stamp"}
	if forward != "" {
		d.Forward = []string{forward}
	}
	if backward != "" {
		d.Backward = []string{backward}
	}
	return d
}

const (
	ex  = "1|eu|x|x|2"
	why = "2|eu|y|NULL|NULL"
)

func TestPartitionedRepair(t *testing.T) {
	t.Parallel()
	b := newBed(t, partitionedSQL, events("{a}", "{b}"), guard.Repair)
	deeds := []deed{
		{name: "insert", sql: `INSERT INTO events VALUES (3, 'us', 'z')`, rows: []string{ex, why, "3|us|z|z|2"}, stray: "insert"},
		{name: "insert new", sql: `INSERT INTO events (id, region, b) VALUES (3, 'us', 'z')`, rows: []string{ex, why, "3|us|z|z|2"}, stray: "insert"},
		{name: "insert into a partition", sql: `INSERT INTO events_us (id, region, a) VALUES (3, 'us', 'z')`, rows: []string{ex, why, "3|us|z|z|2"}, stray: "insert"},
		{name: "update old", sql: `UPDATE events SET a = 'z' WHERE id = 1`, rows: []string{"1|eu|z|z|2", why}, stray: "update"},
		{name: "update new", sql: `UPDATE events SET b = 'z' WHERE id = 1`, rows: []string{"1|eu|z|z|2", why}, stray: "update"},
		{name: "update both, disagreeing", sql: `UPDATE events SET a = 'z', b = 'zz' WHERE id = 1`, err: "TD002"},
		{name: "update a partition", sql: `UPDATE events_eu SET a = 'z' WHERE id = 1`, rows: []string{"1|eu|z|z|2", why}, stray: "update"},
		{name: "move", sql: `UPDATE events SET region = 'us' WHERE id = 1`, rows: []string{"1|us|x|x|2", why}},
		{name: "move and update old", sql: `UPDATE events SET region = 'us', a = 'z' WHERE id = 1`, rows: []string{"1|us|z|z|2", why}, stray: "update"},
		{name: "move and update new", sql: `UPDATE events SET region = 'us', b = 'z' WHERE id = 1`, rows: []string{"1|us|z|z|2", why}, stray: "update"},
		{name: "move and write both", sql: `UPDATE events SET region = 'us', a = 'z', b = 'z', b_stamp = ` + stamp(phase.Switch) + ` WHERE id = 1`, rows: []string{"1|us|z|z|4", why}},
		{name: "move with a stale stamp", sql: `UPDATE events SET region = 'us', b = 'z', b_stamp = ` + stamp(phase.Contract), err: "TD001"},
		{name: "upsert", sql: `INSERT INTO events VALUES (1, 'eu', 'z') ON CONFLICT (id, region) DO UPDATE SET a = EXCLUDED.a`, rows: []string{"1|eu|z|z|2", why}, stray: "insert"},
	}
	b.run(t, deeds)
	// a partition that comes later, and a replica-role writer
	b.db.MustExec(`CREATE TABLE events_as PARTITION OF events FOR VALUES IN ('as')`)
	b.run(t, []deed{{name: "later partition", sql: `SET LOCAL session_replication_role = replica; INSERT INTO events VALUES (3, 'as', 'z');
		UPDATE events SET a = 'zz' WHERE id = 3`, rows: []string{ex, why, "3|as|zz|zz|2"}, stray: "insert"}})
}

// The insert trigger of the partition that a row moves to sees a row without a stamp, and must neither refuse it nor call its writer a stray.
func TestUnstampedRowMoves(t *testing.T) {
	t.Parallel()
	b := newBed(t, partitionedSQL, events("{a}", "{b}"), guard.Repair)
	tx := b.db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`UPDATE events SET region = 'us' WHERE id = 2`)
	require.Equal(t, []string{ex, "2|us|y|y|2"}, b.rows(t, tx))
}

func TestPartitionedGoOnly(t *testing.T) {
	t.Parallel()
	moved := []deed{
		{name: "insert", sql: `INSERT INTO events VALUES (3, 'us', 'z')`, rows: []string{ex, why, "3|us|z|NULL|NULL"}, stray: "insert", dirty: []string{"3,us"}},
		{name: "move and update old", sql: `UPDATE events SET region = 'us', a = 'z' WHERE id = 1`, rows: []string{"1|us|z|NULL|NULL", why}, stray: "update", dirty: []string{"1,us", "1,us"}},
		{name: "move and update old to its default", sql: `UPDATE events SET region = 'us', a = 'none' WHERE id = 1`, rows: []string{"1|us|none|NULL|NULL", why}, stray: "update", dirty: []string{"1,us", "1,us"}},
		{name: "update old, then move", sql: `UPDATE events SET a = 'z' WHERE id = 1; UPDATE events SET region = 'us' WHERE id = 1`,
			rows: []string{"1|us|z|NULL|NULL", why}, stray: "update", dirty: []string{"1,eu", "1,us"}},
	}
	t.Run("no backward", func(t *testing.T) {
		t.Parallel()
		newBed(t, partitionedSQL, events("", ""), guard.Repair).run(t, moved)
	})
	t.Run("SQL backward", func(t *testing.T) {
		t.Parallel()
		newBed(t, partitionedSQL, events("", "{b}"), guard.Repair).run(t, moved)
	})
}

func TestPartitionedReject(t *testing.T) {
	t.Parallel()
	b := newBed(t, partitionedSQL, events("{a}", "{b}"), guard.Repair)
	b.db.MustExec(`UPDATE events SET b = a, b_stamp = 33554434 WHERE id = 2`)
	b.install(t, guard.Reject)
	b.run(t, []deed{
		{name: "insert", sql: `INSERT INTO events VALUES (3, 'us', 'z')`, err: "TD001"},
		{name: "update", sql: `UPDATE events SET a = 'z'`, err: "TD001"},
		{name: "update a partition", sql: `UPDATE events_eu SET b = 'z'`, err: "TD001"},
		{name: "move and update", sql: `UPDATE events SET region = 'us', a = 'z'`, err: "TD001"},
		{name: "move and update with an old stamp", sql: `UPDATE events SET region = 'us', a = 'z', b = 'z', b_stamp = ` + stamp(phase.Migrate), err: "TD001"},
		{name: "move", sql: `UPDATE events SET region = 'us' WHERE id = 1`, rows: []string{"1|us|x|x|2", "2|eu|y|y|2"}},
		{name: "move and update new", sql: `UPDATE events SET region = 'us', b = 'z', b_stamp = ` + stamp(phase.Contract) + ` WHERE id = 1`, rows: []string{"1|us|x|z|5", "2|eu|y|y|2"}},
	})
	// the way back, and there again
	b.install(t, guard.Reverse)
	b.run(t, []deed{
		{name: "reverse insert", sql: `INSERT INTO events VALUES (3, 'us', 'z', 'z', ` + stamp(phase.Contract) + `)`, err: "TD001"},
		{name: "reverse stamped insert", sql: `INSERT INTO events VALUES (3, 'us', 'z', 'z', ` + stamp(phase.Switch) + `)`, rows: []string{"1|eu|x|x|2", "2|eu|y|y|2", "3|us|z|z|4"}},
	})
	b.install(t, guard.Repair)
	b.run(t, []deed{{name: "repair again", sql: `UPDATE events SET a = 'z', region = 'us'`, rows: []string{"1|us|z|z|2", "2|us|z|z|2"}, stray: "update"}})
	b.install(t, guard.Reject)
	b.run(t, []deed{{name: "reject again", sql: `UPDATE events SET a = 'z', region = 'us'`, err: "TD001"}})
}

// A limit: on the way back from Contract, a row of Contract cannot move before the reverse backfill has reached it, because the insert
// trigger of the next partition cannot tell it from a late writer of Contract. It is refused, and nothing is lost.
func TestPartitionedReverseRefusesRowOfContractThatMoves(t *testing.T) {
	t.Parallel()
	b := newBed(t, partitionedSQL, events("{a}", "{b}"), guard.Reject)
	b.db.MustExec(`UPDATE events SET b = 'z', b_stamp = ` + stamp(phase.Contract) + ` WHERE id = 1`)
	b.install(t, guard.Reverse)
	move := `UPDATE events SET region = 'us' WHERE id = 1`
	b.run(t, []deed{
		{name: "before", sql: move, err: "TD001"},
		{name: "after", sql: `UPDATE events SET a = b, b_stamp = ` + stamp(phase.Switch) + ` WHERE id = 1; ` + move, rows: []string{"1|us|z|z|4", why}},
	})
}
