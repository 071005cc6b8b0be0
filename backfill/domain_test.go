package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
)

// A domain over bytea takes bytes, not the text of them.
func TestDomainOverBytes(t *testing.T) {
	t.Parallel()
	for _, typeSQL := range []string{"public.blob", "public.deep"} {
		p := expand.Convert(expand.Spec[[]byte, []byte]{Table: "items", Old: "a", New: "b", Type: typeSQL, Forward: func(v []byte) ([]byte, error) { return v, nil }})
		b := newBed(t, `CREATE DOMAIN blob AS bytea; CREATE DOMAIN deep AS blob; CREATE TABLE items (id int PRIMARY KEY, a bytea);
			INSERT INTO items VALUES (1, '\x00ff5c22'), (2, ''), (3, NULL), (4, '\x616263')`, p)
		require.Zero(t, b.run().BadRows, "%v", b.texts(`SELECT error FROM tandem.bad_row`))
		require.Zero(t, b.number(`SELECT count(*) FROM items WHERE a IS DISTINCT FROM b OR b_stamp IS NULL`))
		b.differ(4)
	}
}
