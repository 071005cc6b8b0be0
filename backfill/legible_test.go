package backfill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
)

// What the pair's Go type does not take is a bad row; the others go on, and verify calls it a difference.
func TestIllegibleIsABadRow(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[time.Time, time.Time]{Table: "items", Old: "a", New: "b", Type: "timestamptz", Forward: func(v time.Time) (time.Time, error) { return v, nil }})
	b := newBed(t, `CREATE TABLE items (id int PRIMARY KEY, a timestamptz);
		INSERT INTO items VALUES (1, 'infinity'), (2, '2024-02-29'), (3, '-infinity'), (4, '0044-03-15 BC')`, p)
	res := b.run()
	require.EqualValues(t, 2, res.BadRows)
	require.EqualValues(t, 2, res.Rows)
	require.Equal(t, []string{"1", "3"}, b.texts(badKeys))
	require.Contains(t, b.texts(`SELECT error FROM tandem.bad_row WHERE key = '{1}'`)[0], "time.Time")
	b.differ(4, "1", "3")
	b.around(`UPDATE items SET a = 'infinity', b = 'infinity' WHERE id = 2`)
	b.differ(4, "1", "2", "3")
	b.exec(`UPDATE items SET a = '2030-01-01' WHERE id = 1`)
	require.EqualValues(t, 1, b.sweep())
	require.EqualValues(t, 1, b.run().BadRows)
}
