package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// What stands for an index or constraint of a set's old is known by its name and kind; column grants need to be on every old column.
func TestStands(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE places (id bigint PRIMARY KEY, lat int, lon int, place text,
			CONSTRAINT uniq UNIQUE (lat, lon), CONSTRAINT positive CHECK (lat > 0));
		CREATE INDEX plain ON places (lon); CREATE UNIQUE INDEX single ON places (lat);
		GRANT SELECT (lat, lon), UPDATE (lat) ON places TO PUBLIC`)
	d := pair.Definition{Table: ident.Table{Schema: "public", Name: "places"}, Key: []string{"id"}, Old: []string{"lat", "lon"}, New: []string{"place"},
		Types: []string{"text"}, Stamp: "place_stamp"}
	require.NoError(t, d.Check())
	ready := func() map[string]bool {
		table, err := catalog.Read(t.Context(), db, d.Table)
		require.NoError(t, err)
		twins, err := catalog.Twins(t.Context(), db, table, d)
		require.NoError(t, err)
		out := map[string]bool{}
		for _, w := range twins {
			require.Empty(t, w.Create)
			out[w.Kind+" "+w.Of] = w.Ready
		}
		return out
	}
	want := map[string]bool{"unique constraint uniq": false, "check positive": false, "index plain": false, "index single": false}
	require.Equal(t, want, ready())
	for _, name := range []string{"uniq", "plain"} {
		db.MustExec(`CREATE UNIQUE INDEX ` + catalog.TwinName(d, name) + ` ON places (place)`)
	}
	db.MustExec(`CREATE INDEX ` + catalog.TwinName(d, "single") + ` ON places (place)`)
	want["index plain"] = true
	require.Equal(t, want, ready(), "an index is no constraint, and one that is not unique no stand-in for one that is")
	db.MustExec(`ALTER TABLE places ADD CONSTRAINT ` + catalog.TwinName(d, "uniq") + ` UNIQUE USING INDEX ` + catalog.TwinName(d, "uniq"))
	db.MustExec(`ALTER TABLE places ADD CONSTRAINT ` + catalog.TwinName(d, "positive") + ` CHECK (place > '') NOT VALID`)
	want["unique constraint uniq"] = true
	require.Equal(t, want, ready(), "the check is not valid")

	table, err := catalog.Read(t.Context(), db, d.Table)
	require.NoError(t, err)
	grants, err := catalog.Grants(t.Context(), db, table, d.Old, []string{"place", "place_stamp"})
	require.NoError(t, err)
	require.Equal(t, []string{`GRANT SELECT (place, place_stamp) ON public.places TO PUBLIC`}, grants)
}
