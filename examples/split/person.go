package main

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/tandem-go/tandem/expand"
)

// Name is what full_name is split into, at its first blank. A mononym has no last name.
type Name struct {
	First string           `db:"first_name"`
	Last  sql.Null[string] `db:"last_name"`
}

// Names is the split. It converts in SQL too, so that the guard completes what an old binary writes, or who writes one half of new. A last name has
// 60 characters at most, which one of the old names does not keep to.
var Names = expand.ConvertSet(expand.SetSpec[string, Name]{
	Table: "people",
	Old:   []expand.Column{{Name: "full_name", SQL: `{first_name} || coalesce(' ' || {last_name}, '')`}},
	New: []expand.Column{
		{Name: "first_name", Type: "text", SQL: `split_part({full_name}, ' ', 1)`, NotNull: true},
		{Name: "last_name", Type: "varchar(60)", SQL: `CASE WHEN strpos({full_name}, ' ') > 0 THEN substr({full_name}, strpos({full_name}, ' ') + 1) END`},
	},
	Forward: split, Backward: join,
})

// split loses nothing: a name that ends in a blank has ” for a last name, which is not none.
func split(full string) (Name, error) {
	first, last, two := strings.Cut(full, " ")
	return Name{First: first, Last: sql.Null[string]{V: last, Valid: two}}, nil
}

// join has no way to say that a first name has a blank in it: of such a name forward makes another one, and the wrappers refuse it with expand.ErrLossy.
func join(n Name) (string, error) {
	if !n.Last.Valid {
		return n.First, nil
	}
	return n.First + " " + n.Last.V, nil
}

// Degrees are what is merged.
type Degrees struct {
	Lat sql.Null[float64] `db:"lat"`
	Lon sql.Null[float64] `db:"lon"`
}

// Places is the merge. Half a place is none.
var Places = expand.ConvertSet(expand.SetSpec[Degrees, sql.Null[Point]]{
	Table: "people",
	Old:   []expand.Column{{Name: "lat", SQL: `{place}[0]`}, {Name: "lon", SQL: `{place}[1]`}},
	New:   []expand.Column{{Name: "place", Type: "point", SQL: `point({lat}, {lon})`}},
	Forward: func(d Degrees) (sql.Null[Point], error) {
		if !d.Lat.Valid || !d.Lon.Valid {
			return sql.Null[Point]{}, nil
		}
		return sql.Null[Point]{V: Point{d.Lat.V, d.Lon.V}, Valid: true}, nil
	},
	Backward: func(p sql.Null[Point]) (Degrees, error) {
		return Degrees{sql.Null[float64]{V: p.V.Lat, Valid: p.Valid}, sql.Null[float64]{V: p.V.Lon, Valid: p.Valid}}, nil
	},
})

// Point is PostgreSQL's point, in its text form: (lat,lon).
type Point struct{ Lat, Lon float64 }

// Scan implements sql.Scanner.
func (p *Point) Scan(src any) error {
	_, err := fmt.Sscanf(fmt.Sprintf("%s", src), "(%g,%g)", &p.Lat, &p.Lon)
	return err
}

// Value implements driver.Valuer.
func (p Point) Value() (driver.Value, error) { //nolint:unparam // the interface has an error
	return fmt.Sprintf("(%v,%v)", p.Lat, p.Lon), nil
}

// Person is the model in its final shape; the fields of a set stand side by side.
type Person struct {
	ID        int64            `db:"id" tandem:"default"`
	FirstName string           `db:"first_name"`
	LastName  sql.Null[string] `db:"last_name"`
	Place     sql.Null[Point]  `db:"place"`
}
