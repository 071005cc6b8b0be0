package expand_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// Without SQL there is nothing to filter by as long as old is read.
func TestSetOfGoAlone(t *testing.T) {
	t.Parallel()
	pair := expand.ConvertSet(expand.SetSpec[string, name]{Table: "people", Forward: split, Backward: join,
		Old: []expand.Column{{Name: "full_name"}}, New: []expand.Column{{Name: "first_name", Type: "text"}, {Name: "last_name", Type: "text"}}})
	b := newBed(t, poetsSQL, pair)
	b.set(switchover.Migrate)
	require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, name]) error {
		_, err := p.ColumnOf("", "last_name")
		require.ErrorContains(t, err, "only Go converts")
		_, err = b.db.Exec(`SELECT FROM people WHERE ` + p.Column("people") + ` = 'x'`)
		require.ErrorContains(t, err, "no filter by first_name")
		return nil
	}))
	b.set(switchover.Switch)
	require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, name]) error {
		_, err := b.db.Exec(`SELECT FROM people WHERE ` + p.Column("people") + ` = 'x'`)
		return err
	}))
}

func TestSetDeclarations(t *testing.T) {
	t.Parallel()
	good := expand.SetSpec[string, name]{Table: "people", Forward: split,
		Old: []expand.Column{{Name: "full_name"}}, New: []expand.Column{{Name: "first_name", Type: "text"}, {Name: "last_name", Type: "text"}}}
	require.NoError(t, expand.ConvertSet(good).Err())
	for want, change := range map[string]func(*expand.SetSpec[string, name]){
		"columns first_name, last_name need their SQL types": func(s *expand.SetSpec[string, name]) { s.New[1].Type = "" },
		"a forward expression is empty":                      func(s *expand.SetSpec[string, name]) { s.New[0].SQL = "{full_name}" },
		"Type and NotNull are for new columns":               func(s *expand.SetSpec[string, name]) { s.Old[0].NotNull = true },
		"name has no field for column surname":               func(s *expand.SetSpec[string, name]) { s.New[1].Name = "surname" },
		"need a struct with a field for each, not string":    func(s *expand.SetSpec[string, name]) { s.Old = append(s.Old, expand.Column{Name: "alias"}) },
		"Forward is missing":                                 func(s *expand.SetSpec[string, name]) { s.Forward = nil },
		"needs a key, an old and a new column":               func(s *expand.SetSpec[string, name]) { s.Old = nil },
	} {
		s := good
		s.Old, s.New = append([]expand.Column{}, good.Old...), append([]expand.Column{}, good.New...)
		change(&s)
		require.ErrorContains(t, expand.ConvertSet(s).Err(), want)
	}
	type three struct {
		name
		Title string `db:"title"`
	}
	require.ErrorContains(t, expand.ConvertSet(expand.SetSpec[string, three]{Table: "people", Old: good.Old, New: good.New,
		Forward: func(string) (three, error) { return three{}, nil }}).Err(), "has a field Title that is none of the columns first_name, last_name")
	type half struct {
		ID    int64  `db:"id"`
		First string `db:"first_name"`
	}
	_, err := expand.NewRepository[half](new(sqlx.DB), new(switchover.Member), names)
	require.ErrorContains(t, err, "no field for its new column last_name")
	type other struct {
		ID    int64          `db:"id"`
		First string         `db:"first_name"`
		Last  sql.NullString `db:"last_name"`
	}
	_, err = expand.NewRepository[other](new(sqlx.DB), new(switchover.Member), names)
	require.ErrorContains(t, err, "has type *string for column last_name, the model's field is sql.NullString")
}

// A set is tried on the table's rows before it begins: SQL against Go, and what would become a bad row.
func TestSampleOfSet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(poetsSQL + `; INSERT INTO people (full_name, lat) SELECT 'Ada ' || i, i FROM generate_series(1, 5) i`)
	wrong := expand.SetSpec[string, name]{Table: "people", Forward: split, Backward: join, Old: []expand.Column{{Name: "full_name"}},
		New: []expand.Column{{Name: "first_name", Type: "text", SQL: `split_part({full_name}, ' ', 1)`}, {Name: "last_name", Type: "text", SQL: `upper(split_part({full_name}, ' ', 2)) || '!'`}}}
	_, err := expand.Plan(t.Context(), db, expand.ConvertSet(wrong))
	require.ErrorIs(t, err, expand.ErrConversion)
	require.ErrorContains(t, err, "key {1}, old (\"Ada 1\"): ")
	type full struct {
		Lat float64 `db:"lat"`
		Lon float64 `db:"lon"`
	}
	half := expand.SetSpec[full, string]{Table: "people", Forward: func(f full) (string, error) { return fmt.Sprint(f), nil },
		Old: []expand.Column{{Name: "lat"}, {Name: "lon"}}, New: []expand.Column{{Name: "place", Type: "text"}}}
	steps, err := expand.Plan(t.Context(), db, expand.ConvertSet(half))
	require.NoError(t, err)
	require.Contains(t, steps[0].Why, "of 5 sampled rows 5 are NULL, and the pair's Go type has no NULL")
}
