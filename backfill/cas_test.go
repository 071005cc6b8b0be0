package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// halves are two columns that are merged into one.
type halves struct {
	A *string `db:"a"`
	B *string `db:"b"`
}

func (h halves) text() string {
	parts := []string{"-", "-"}
	for i, s := range []*string{h.A, h.B} {
		if s != nil {
			parts[i] = *s
		}
	}
	return strings.Join(parts, "|")
}

// Each column of a set counts: whichever of a row's source columns changes between the read and the write-back, to or from NULL, the row is not overwritten. Forward
// itself changes it, through another connection.
func TestCompareAndSetOfSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ change, want string }{
		"first":            {`a = 'x'`, "x|b7"},
		"second":           {`b = 'x'`, "a7|x"},
		"first to NULL":    {`a = NULL`, "-|b7"},
		"second to NULL":   {`b = NULL`, "a7|-"},
		"second from NULL": {`b = 'x'`, "a7|x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b *bed
			left := 0 // Apply tries forward on a sample
			p := expand.ConvertSet(expand.SetSpec[halves, string]{Table: "pairs", Old: []expand.Column{{Name: "a"}, {Name: "b"}}, New: []expand.Column{{Name: "joined", Type: "text"}},
				Forward: func(h halves) (string, error) {
					if left > 0 && h.A != nil && *h.A == "a7" {
						left--
						b.exec(`UPDATE pairs SET ` + c.change + ` WHERE id = 7`)
					}
					return h.text(), nil
				}})
			create := `CREATE TABLE pairs (id bigint PRIMARY KEY, a text, b text); INSERT INTO pairs SELECT i, 'a' || i, 'b' || i FROM generate_series(1, 20) i`
			if name == "second from NULL" {
				create += `; UPDATE pairs SET b = NULL WHERE id = 7`
			}
			b = newBed(t, create, p)
			left = 1
			b.run()
			require.Zero(t, left)
			require.Equal(t, 1, b.number(`SELECT count(*) FROM pairs WHERE joined IS NULL AND joined_stamp IS NULL`), "what was read is outdated")
			b.sweep()
			require.Equal(t, []string{c.want}, b.texts(`SELECT joined FROM pairs WHERE id = 7`))
			require.Zero(t, b.number(`SELECT count(*) FROM pairs WHERE joined IS DISTINCT FROM concat_ws('|', coalesce(a, '-'), coalesce(b, '-'))`))
			report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
			require.NoError(t, err)
			require.Zero(t, report.Differences)
		})
	}
}
