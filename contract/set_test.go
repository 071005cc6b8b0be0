package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// fullNames is what full_name is split into.
type fullNames struct {
	First string  `db:"first_name"`
	Last  *string `db:"last_name"`
}

var splitName = expand.SetSpec[string, fullNames]{Table: "people",
	Old: []expand.Column{{Name: "full_name", SQL: `{first_name} || coalesce(' ' || {last_name}, '')`}},
	New: []expand.Column{
		{Name: "first_name", Type: "text", SQL: `split_part({full_name}, ' ', 1)`, NotNull: true},
		{Name: "last_name", Type: "text", SQL: `CASE WHEN strpos({full_name}, ' ') > 0 THEN substr({full_name}, strpos({full_name}, ' ') + 1) END`},
	},
	Forward: func(full string) (fullNames, error) {
		first, last, two := strings.Cut(full, " ")
		if !two {
			return fullNames{First: first}, nil
		}
		return fullNames{first, &last}, nil
	},
	Backward: func(n fullNames) (string, error) {
		if n.Last == nil {
			return n.First, nil
		}
		return n.First + " " + *n.Last, nil
	}}

// degrees are merged into a range of two numbers.
type degrees struct {
	Lat *int `db:"lat"`
	Lon *int `db:"lon"`
}

var mergePlace = expand.SetSpec[degrees, *string]{Table: "people",
	Old: []expand.Column{{Name: "lat", SQL: `lower({place})`}, {Name: "lon", SQL: `upper({place})`}},
	New: []expand.Column{{Name: "place", Type: "int4range", SQL: `CASE WHEN num_nulls({lat}, {lon}) = 0 THEN int4range({lat}, {lon}) END`}},
	Forward: func(d degrees) (*string, error) {
		switch {
		case d.Lat == nil || d.Lon == nil:
			return nil, nil //nolint:nilnil // NULL
		case *d.Lat >= *d.Lon:
			return nil, errors.New("lat must be less than lon")
		}
		text := "[" + strconv.Itoa(*d.Lat) + "," + strconv.Itoa(*d.Lon) + ")"
		return &text, nil
	},
	Backward: func(text *string) (d degrees, err error) {
		if text == nil {
			return d, nil
		}
		d.Lat, d.Lon = new(int), new(int)
		_, err = fmt.Sscanf(*text, "[%d,%d)", d.Lat, d.Lon)
		return d, err
	}}

const peopleSQL = `
	CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		full_name text NOT NULL DEFAULT 'nobody' CONSTRAINT named CHECK (full_name <> ''), lat int NOT NULL DEFAULT 0, lon int, CHECK (lat < lon));
	CREATE UNIQUE INDEX people_name ON people (full_name);
	INSERT INTO people (full_name, lat, lon) SELECT 'first' || i || CASE WHEN i % 3 > 0 THEN ' last ' || i ELSE '' END, i, i + nullif(i % 4, 0) FROM generate_series(1, 1000) i`

// inGo takes the SQL away.
func inGo[O, N any](s expand.SetSpec[O, N]) expand.SetSpec[O, N] {
	plain := func(list []expand.Column) (out []expand.Column) {
		for _, c := range list {
			c.SQL = ""
			out = append(out, c)
		}
		return out
	}
	s.Old, s.New = plain(s.Old), plain(s.New)
	return s
}

// A split and a merge, in Go and in SQL, go through a whole migration, to Contract and back, and again to the end.
func TestSets(t *testing.T) {
	t.Parallel()
	const split = `SELECT count(*) FROM people WHERE first_name || coalesce(' ' || last_name, '') IS DISTINCT FROM
		'first' || id || CASE WHEN id % 3 > 0 THEN ' last ' || id ELSE '' END`
	const merged = `SELECT count(*) FROM people WHERE place IS DISTINCT FROM CASE WHEN id % 4 > 0 THEN int4range(id::int, (id + id % 4)::int) END`
	for name, c := range map[string]struct {
		pair  expand.Any
		wrong string // counts rows whose new is not what it should be
	}{
		"split/sql": {expand.ConvertSet(splitName), split}, "split/go": {expand.ConvertSet(inGo(splitName)), split},
		"merge/sql": {expand.ConvertSet(mergePlace), merged}, "merge/go": {expand.ConvertSet(inGo(mergePlace)), merged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLonelyWalker(t, peopleSQL, c.pair)
			steps, err := expand.Plan(w.ctx, pgtestWith(t, peopleSQL), c.pair)
			require.NoError(t, err)
			require.Contains(t, steps[0].Why, map[bool]string{true: `index people_name, check named`, false: `check people_check`}[strings.HasPrefix(name, "split")])
			before := w.number(`SELECT sum(hashtext(full_name || lat || coalesce(lon, -1))) FROM people`)
			w.toMigrate()
			require.Zero(t, w.number(c.wrong))

			report, err := backfill.Verify(w.ctx, w.db, w.pair, backfill.VerifyOptions{})
			require.NoError(t, err)
			require.Equal(t, int64(1000), report.Rows)
			require.Zero(t, report.Differences)
			wait := quick
			wait.Wait = false
			var refused *switchover.GateError
			require.ErrorAs(t, switchover.Advance(w.ctx, w.db, w.pair.Name(), switchover.Switch, wait), &refused)
			require.Contains(t, refused.Error(), "nothing stands for")
			w.gates.Waive = map[string]string{"statistics": "a test"}
			require.ErrorAs(t, tryNow(w, switchover.Switch), &refused)
			require.Len(t, refused.Gates, map[bool]int{true: 2, false: 1}[strings.HasPrefix(name, "split")])
			w.gates.Waive["twins"], w.gates.Waive["default"] = "made where needed", "nobody leaves it out"
			w.advance(switchover.Switch)

			// there, and back
			w.apply(contract.Relax)
			w.advance(switchover.Contract)
			w.back()
			require.Zero(t, w.number(c.wrong))
			require.Equal(t, before, w.number(`SELECT sum(hashtext(full_name || lat || coalesce(lon, -1))) FROM people`))
			require.Equal(t, []string{"named", "people_check", "people_name", "people_pkey"}, w.objects())

			// what comes to old after Switch is asked for too
			w.exec(`CREATE INDEX late ON people (full_name, lat)`)
			delete(w.gates.Waive, "twins")
			require.ErrorAs(t, tryNow(w, switchover.Contract), &refused)
			require.Contains(t, refused.Error(), "nothing stands for index late")
			w.gates.Waive["twins"] = "a test"

			// and to the end, with something that stands for the unique index
			twin := catalog.TwinName(w.pair.Definition(), "people_name")
			if strings.HasPrefix(name, "split") {
				w.exec(`CREATE UNIQUE INDEX ` + twin + ` ON people (first_name, last_name) NULLS NOT DISTINCT`)
			}
			w.apply(contract.Relax)
			w.advance(switchover.Contract)
			w.end()
			require.Zero(t, w.number(c.wrong))
			if strings.HasPrefix(name, "split") {
				require.Equal(t, []string{"people_check", "people_name", "people_pkey"}, w.objects(), "the check went with old, the unique index has the name of old's")
				require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname IN ('first_name', 'last_name') AND attnotnull`))
			} else {
				require.Equal(t, []string{"named", "people_name", "people_pkey"}, w.objects())
			}
		})
	}
}

// tryNow tries a step and does not wait for gates.
func tryNow(w *walker, to switchover.Phase) error {
	o := w.gates
	o.Wait = false
	return switchover.Advance(w.ctx, w.db, w.pair.Name(), to, o)
}

// pgtestWith is another database, with the table alone.
func pgtestWith(t *testing.T, create string) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	db.MustExec(create)
	return db
}

// objects are the table's indexes and checks.
func (w *walker) objects() (out []string) {
	w.Helper()
	require.NoError(w, w.db.SelectContext(w.ctx, &out, `SELECT conname FROM pg_constraint WHERE conrelid = 'people'::regclass AND contype = 'c'
		UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'people'::regclass ORDER BY 1`))
	return out
}

// NOT NULL that rows do not keep is refused before it could refuse their writes, at the gate and by Finish.
func TestNotNullOfSet(t *testing.T) {
	t.Parallel()
	spec := splitName
	spec.New = slices.Clone(spec.New)
	spec.New[1].NotNull = true // and there are mononyms
	w := newLonelyWalker(t, peopleSQL, expand.ConvertSet(spec))
	w.gates.Waive = map[string]string{"twins": "a test", "statistics": "a test", "default": "a test"}
	w.toMigrate()
	_, err := backfill.Verify(w.ctx, w.db, w.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	w.advance(switchover.Switch)
	w.apply(contract.Relax)
	require.ErrorContains(t, tryNow(w, switchover.Contract), "333 rows (counted to 1000) have no last_name")
	w.exec(`UPDATE people SET full_name = full_name || ' X' WHERE last_name IS NULL`)
	w.advance(switchover.Contract)
	w.exec(`UPDATE people SET last_name = NULL, first_name_stamp = 5 << 24 WHERE id = 1`) // as a wrapper would
	require.ErrorContains(t, contract.Apply(w.ctx, w.db, w.pair, contract.Finish, contract.Options{}), "rows with NULL in last_name")
	w.exec(`UPDATE people SET lat = 0 WHERE id = 1`)
	w.exec(`UPDATE people SET last_name = 'Y', first_name_stamp = (5 << 24) + 1 WHERE id = 1`)
	w.end()
}

// A row of which the halves do not convert is set aside, and the others are copied.
func TestBadRowOfSet(t *testing.T) {
	t.Parallel()
	spec := inGo(mergePlace)
	w := newLonelyWalker(t, strings.Replace(peopleSQL, ", CHECK (lat < lon)", "", 1)+`; UPDATE people SET lon = lat - 1 WHERE id = 7`, expand.ConvertSet(spec))
	w.toMigrate()
	require.Equal(t, 1, w.number(`SELECT count(*) FROM tandem.bad_row WHERE key = '{7}' AND error LIKE '%lat must be less%'`))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM people WHERE place_stamp IS NULL`))
	w.exec(`UPDATE people SET lon = lat + 2 WHERE id = 7`)
	_, err := backfill.Sweep(w.ctx, w.db, w.pair)
	require.NoError(t, err)
	require.Zero(t, w.number(`SELECT count(*) FROM people WHERE place_stamp IS NULL`))
}
