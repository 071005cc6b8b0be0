package expand_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// name is what full_name is split into; a mononym has no last name.
type name struct {
	First string  `db:"first_name"`
	Last  *string `db:"last_name"`
}

func split(full string) (name, error) {
	first, last, two := strings.Cut(full, " ")
	if !two || last == "" {
		return name{First: first}, nil
	}
	return name{First: first, Last: &last}, nil
}

func join(n name) (string, error) {
	if n.Last == nil {
		return n.First, nil
	}
	return n.First + " " + *n.Last, nil
}

var names = expand.ConvertSet(expand.SetSpec[string, name]{Table: "people", Forward: split, Backward: join,
	Old: []expand.Column{{Name: "full_name", SQL: `{first_name} || coalesce(' ' || {last_name}, '')`}},
	New: []expand.Column{
		{Name: "first_name", Type: "text", SQL: `split_part({full_name}, ' ', 1)`, NotNull: true},
		{Name: "last_name", Type: "text", SQL: `nullif(substr({full_name}, strpos({full_name}, ' ') + 1), CASE WHEN {full_name} LIKE '% %' THEN '' ELSE {full_name} END)`},
	}})

// degrees are merged into a point, which has no = and is nothing where one is missing.
type degrees struct {
	Lat *float64 `db:"lat"`
	Lon *float64 `db:"lon"`
}

var places = expand.ConvertSet(expand.SetSpec[degrees, *string]{Table: "people",
	Old: []expand.Column{{Name: "lat", SQL: `{place}[0]`}, {Name: "lon", SQL: `{place}[1]`}},
	New: []expand.Column{{Name: "place", Type: "point", SQL: `point({lat}, {lon})`}},
	Forward: func(d degrees) (*string, error) {
		if d.Lat == nil || d.Lon == nil {
			return nil, nil //nolint:nilnil // NULL
		}
		text := fmt.Sprintf("(%v,%v)", *d.Lat, *d.Lon)
		return &text, nil
	},
	Backward: func(text *string) (d degrees, err error) {
		if text == nil {
			return d, nil
		}
		d.Lat, d.Lon = new(float64), new(float64)
		_, err = fmt.Sscanf(*text, "(%g,%g)", d.Lat, d.Lon)
		return d, err
	}})

const poetsSQL = `CREATE TABLE people (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, full_name text NOT NULL UNIQUE, lat double precision, lon double precision, note text NOT NULL DEFAULT '')`

type poet struct {
	ID int64 `db:"id" tandem:"default"`
	name
	Place *string `db:"place"`
	Note  string  `db:"note" tandem:"default"`
}

// flat is the same model with the fields side by side.
type flat struct {
	ID        int64   `db:"id" tandem:"default"`
	LastName  *string `db:"last_name"`
	Place     *string `db:"place"`
	FirstName string  `db:"first_name"`
}

func to[T any](v T) *T { return &v }

// Every operation means the same in every phase, for a split and a merge on one table.
func TestSetsInEveryPhase(t *testing.T) {
	t.Parallel()
	b := newBed(t, poetsSQL, names, places)
	r, err := expand.NewRepository[poet](b.db, b.member, names, places)
	require.NoError(t, err)
	f, err := expand.NewRepository[flat](b.db, b.member, names, places)
	require.NoError(t, err)
	var strays int
	for _, ph := range allPhases {
		b.set(ph)
		if ph == switchover.Switch {
			b.db.MustExec(`CREATE UNIQUE INDEX ON people (first_name, last_name)`)
		}
		poets(b.ctx, t, r, f, "plain"+ph.String())
		require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
			poets(ctx, t, r.In(tx), f.In(tx), "tx"+ph.String())
			return nil
		}))
		if ph == switchover.Contract {
			require.NotZero(t, countOf(t, b, `SELECT count(*) FROM people WHERE full_name IS NULL AND lat IS NULL AND place IS NOT NULL`), "Contract writes new alone")
			require.NotZero(t, countOf(t, b, `SELECT count(*) FROM people WHERE full_name = first_name || ' ' || last_name AND place[0] = lat AND place[1] = lon`))
		}
		if ph == switchover.Start {
			strays = countOf(t, b, `SELECT count(*) FROM tandem.stray`) // only the writes of Start go around the guard
		}
	}
	require.Equal(t, strays, countOf(t, b, `SELECT count(*) FROM tandem.stray`))
}

func poets(ctx context.Context, t *testing.T, r *expand.Repository[poet], f *expand.Repository[flat], first string) {
	t.Helper()
	read := func(want poet) {
		t.Helper()
		got, err := r.Get(ctx, want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	ada := poet{name: name{first, to("Lovelace")}, Place: to("(51.5,-0.1)"), Note: "1"}
	cher := poet{name: name{First: first + "Cher"}, Note: "2"}
	require.NoError(t, r.Insert(ctx, &ada))
	require.NoError(t, r.InsertMany(ctx, []*poet{&cher}))
	read(ada)
	read(cher)
	side, err := f.Get(ctx, ada.ID)
	require.NoError(t, err)
	require.Equal(t, flat{ID: ada.ID, FirstName: first, LastName: to("Lovelace"), Place: to("(51.5,-0.1)")}, side)

	ada.Last, ada.Place = to("King"), nil
	require.NoError(t, r.UpdateColumns(ctx, &ada, "last_name", "first_name"))
	require.NoError(t, r.UpdateColumns(ctx, &ada, "place"))
	read(ada)
	require.ErrorContains(t, r.UpdateColumns(ctx, &ada, "note", "last_name"), "last_name without first_name")
	cher.Place = to("(1.25,2)")
	require.NoError(t, r.Update(ctx, &cher))
	read(cher)
	again := poet{name: ada.name, Place: to("(3,4)"), Note: "3"}
	require.NoError(t, r.Upsert(ctx, &again, "first_name", "last_name"))
	ada.Place, ada.Note = again.Place, again.Note
	read(ada)
	require.ErrorContains(t, r.Upsert(ctx, &again, "last_name"), "last_name without first_name")

	list, err := r.Select(ctx, `WHERE {last_name} = $1 AND {first_name} = $2 AND {place} ~= $3::point ORDER BY {first_name} DESC, {last_name}`,
		"King", first, places.Arg(to("(3,4)")))
	require.NoError(t, err)
	require.Equal(t, []poet{ada}, list)
	_, err = r.Select(ctx, `WHERE {last_name} = $1`, names.Arg(ada.name))
	require.ErrorContains(t, err, "column set")
	require.ErrorContains(t, errOf(r.Select(ctx, `WHERE {full_name} = $1`, "x")), "{full_name} is not")
	require.NoError(t, r.Delete(ctx, cher.ID))

	// two words for a first name would come back as a first and a last name
	twice := poet{name: name{First: "Ada Maria " + first}}
	if err := r.Insert(ctx, &twice); err != nil {
		require.ErrorIs(t, err, expand.ErrLossy)
	} else {
		require.NoError(t, r.Delete(ctx, twice.ID))
	}
}

func countOf(t *testing.T, b *bed, query string) (n int) {
	t.Helper()
	require.NoError(t, b.db.Get(&n, query))
	return n
}

func errOf[T any](_ T, err error) error { return err }

// Somebody who knows one side, or one half of it, leaves the rest right.
func TestSetsAreRepairedWhole(t *testing.T) {
	t.Parallel()
	b := newBed(t, poetsSQL, names, places)
	b.set(switchover.Migrate)
	r, err := expand.NewRepository[poet](b.db, b.member, names, places)
	require.NoError(t, err)
	row := func(want string) {
		t.Helper()
		var got string
		require.NoError(t, b.db.Get(&got, `SELECT concat_ws('|', full_name, first_name, coalesce(last_name, '-'), lat, lon, coalesce(place::text, '-')) FROM people`))
		require.Equal(t, want, got)
		_, err := r.Get(b.ctx, 1)
		require.NoError(t, err)
	}
	b.db.MustExec(`INSERT INTO people (full_name, lat, lon) VALUES ('Ada Byron', 1, 2)`)
	row("Ada Byron|Ada|Byron|1|2|(1,2)")
	b.db.MustExec(`UPDATE people SET lat = 5`)
	row("Ada Byron|Ada|Byron|5|2|(5,2)")
	b.db.MustExec(`UPDATE people SET last_name = 'King'`)
	row("Ada King|Ada|King|5|2|(5,2)")
	b.db.MustExec(`UPDATE people SET first_name = 'Augusta', last_name = NULL`)
	row("Augusta|Augusta|-|5|2|(5,2)")
	b.db.MustExec(`UPDATE people SET full_name = 'Ada Lovelace', lon = NULL`)
	row("Ada Lovelace|Ada|Lovelace|5|-")
	b.db.MustExec(`UPDATE people SET place = '(7,8)'`)
	row("Ada Lovelace|Ada|Lovelace|7|8|(7,8)")
	_, err = b.db.Exec(`UPDATE people SET full_name = 'Grace Hopper', last_name = 'Byron'`)
	require.ErrorContains(t, err, "would lose a value", "the halves disagree")
	_, err = b.db.Exec(`UPDATE people SET first_name = 'Ada Maria'`)
	require.ErrorContains(t, err, "would lose a value", "a first name of two words comes back as two names")
	row("Ada Lovelace|Ada|Lovelace|7|8|(7,8)")
}

// Before the backfill only old knows what a half that nobody has written is.
func TestHalfOfUnstampedRow(t *testing.T) {
	t.Parallel()
	spec := expand.SetSpec[string, name]{Table: "people", Forward: split, Backward: join,
		Old: []expand.Column{{Name: "full_name", SQL: `{first_name} || coalesce(' ' || {last_name}, '')`}},
		New: []expand.Column{{Name: "first_name", Type: "text"}, {Name: "last_name", Type: "text"}}}
	for form, pair := range map[string]*expand.Pair[string, name]{"sql": names, "backward alone": expand.ConvertSet(spec)} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, `CREATE TABLE people (id bigint PRIMARY KEY, full_name text NOT NULL);
				INSERT INTO people VALUES (1, 'Ada Byron'), (2, 'Ada King'), (3, 'Cher')`, pair)
			b.set(switchover.Migrate)
			for _, half := range []string{`first_name = 'Augusta'`, `last_name = 'Lovelace'`} {
				_, err := b.db.Exec(`UPDATE people SET ` + half + ` WHERE id = 1`)
				require.ErrorContains(t, err, "would lose a value")
			}
			b.db.MustExec(`UPDATE people SET first_name = 'Augusta', last_name = 'Lovelace' WHERE id = 2`)
			require.Equal(t, 1, countOf(t, b, `SELECT count(*) FROM people WHERE full_name = 'Augusta Lovelace' AND first_name = 'Augusta' AND last_name = 'Lovelace'`))
			if form == "sql" { // a mononym has no other half
				b.db.MustExec(`UPDATE people SET first_name = 'Sonny' WHERE id = 3`)
				require.Equal(t, 1, countOf(t, b, `SELECT count(*) FROM people WHERE full_name = 'Sonny' AND first_name = 'Sonny' AND last_name IS NULL`))
			}
		})
	}
}

// whole is a row of hand-written SQL.
type whole struct {
	ID    int64                          `db:"id"`
	Name  expand.Value[string, name]     `db:"first_name"`
	Place expand.Value[degrees, *string] `db:"place"`
}

func TestSetsInSQL(t *testing.T) {
	t.Parallel()
	b := newBed(t, strings.Replace(poetsSQL, "ALWAYS", "BY DEFAULT", 1), names, places)
	for i, ph := range allPhases {
		b.set(ph)
		first := int64(i * 10)
		require.NoError(t, expand.InTx(b.ctx, b.db, b.member, nil, func(ctx context.Context, tx *expand.Tx) error {
			n, err := names.In(tx)
			require.NoError(t, err)
			p, err := places.In(tx)
			require.NoError(t, err)
			row := func(id int64, last *string, place *string) (w whole) {
				w.ID = first + id
				w.Name, err = n.Value(name{ph.String(), last})
				require.NoError(t, err)
				w.Place, err = p.Value(place)
				require.NoError(t, err)
				return w
			}
			insert := `INSERT INTO people (id, ` + n.Columns() + `, ` + p.Columns() + `) VALUES (:id, ` + n.Params() + `, ` + p.Params() + `)`
			_, err = tx.NamedExecContext(ctx, insert, []whole{row(1, to("a"), to("(1,2)")), row(2, nil, nil)})
			require.NoError(t, err)
			_, err = tx.NamedExecContext(ctx, insert+` ON CONFLICT (id) DO UPDATE SET `+n.Excluded()+`, `+p.Excluded(), row(2, to("b"), to("(3,4)")))
			require.NoError(t, err)
			_, err = tx.NamedExecContext(ctx, `UPDATE people SET `+n.Set()+` WHERE id = :id`, row(1, nil, nil))
			require.NoError(t, err)
			copied := row(3, to("c"), nil)
			st, err := tx.PrepareContext(ctx, `COPY people (id, `+n.Columns()+`, `+p.Columns()+`) FROM STDIN`)
			require.NoError(t, err)
			defer func() { _ = st.Close() }()
			_, err = st.ExecContext(ctx, append(append([]any{copied.ID}, n.Values(copied.Name)...), p.Values(copied.Place)...)...)
			require.NoError(t, err)
			_, err = st.ExecContext(ctx)
			require.NoError(t, err)

			last, err := n.ColumnOf("x", "last_name")
			require.NoError(t, err)
			var rows []whole
			require.NoError(t, tx.SelectContext(ctx, &rows, `SELECT x.id, `+n.Select("x")+`, `+p.Select("x")+` FROM people x
				WHERE x.id >= $1 AND (`+last+` IN ('b', 'c') OR `+n.Column("x")+` = $2) ORDER BY x.id`, first, ph.String()))
			require.Len(t, rows, 3)
			for i, want := range []struct {
				last, place *string
			}{{nil, to("(1,2)")}, {to("b"), to("(3,4)")}, {to("c"), nil}} {
				got, err := n.Read(rows[i].Name, rows[i].ID)
				require.NoError(t, err)
				require.Equal(t, name{ph.String(), want.last}, got)
				place, err := p.Read(rows[i].Place, rows[i].ID)
				require.NoError(t, err)
				require.Equal(t, want.place, place)
			}
			return nil
		}))
	}
}
