package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/phase"
)

// BenchmarkMirror compares a write of one row of a table that is mirrored with the same write of a table that is not, by the server's time: microseconds a statement (medians), by turns.
//
//	go test -run '^$' -bench Mirror -benchtime 200x ./internal/guard
func BenchmarkMirror(b *testing.B) {
	for name, write := range map[string]string{"update": `UPDATE @t SET price = i WHERE id = i`, "insert and delete": `INSERT INTO @t (id, day) VALUES (-i, 1); DELETE FROM @t WHERE id = -i`} {
		b.Run(name, func(b *testing.B) {
			db := mirrored(b, itemsSQL, phase.Start)
			db.MustExec(`INSERT INTO items (id, day, price) SELECT i, i % 3, 0 FROM generate_series(1, 1000) i; CREATE TABLE plain (LIKE items INCLUDING ALL); INSERT INTO plain SELECT * FROM items`)
			took := map[string][]float64{}
			for b.Loop() {
				for _, table := range []string{"items", "plain"} {
					_, err := db.Exec(fmt.Sprintf(`CREATE OR REPLACE FUNCTION timer() RETURNS float8 LANGUAGE plpgsql AS $$ DECLARE began timestamptz := clock_timestamp(); BEGIN
						FOR i IN 1 .. 100 LOOP %s; END LOOP; RETURN extract(epoch FROM clock_timestamp() - began) * 10000; END $$`, strings.ReplaceAll(write, "@t", table)))
					require.NoError(b, err)
					var us float64
					require.NoError(b, db.Get(&us, `SELECT timer()`))
					took[table] = append(took[table], us)
				}
			}
			for table, list := range took {
				slices.Sort(list)
				b.ReportMetric(list[len(list)/2], table+"-µs")
			}
		})
	}
}
