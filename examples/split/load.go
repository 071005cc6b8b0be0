package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// load is what goes on while the columns change: goroutines that write, and know their people.
type load struct {
	*trial.Load[Person]
	refused atomic.Int64 // names that old cannot hold
}

func newLoad(rows int64) *load { return &load{Load: trial.NewLoad(rows, initialPerson)} }

// Who writes the ids of the start that end in which digit.
const (
	laneDirectory = 1
	laneOld       = 2
	laneScript    = 3
)

// random is a person of some kind: with two names, with three, a mononym, nobody, with a last name that is empty; one in three has no place.
func random(id int64) Person {
	n := rand.Int64N(1_000_000)
	p := Person{ID: id, FirstName: fmt.Sprint("First", n), LastName: some(fmt.Sprint("Last", n))}
	switch n % 8 {
	case 0:
		p.LastName = some(fmt.Sprint("van der Last", n))
	case 1:
		p.LastName = sql.Null[string]{}
	case 2:
		p.FirstName, p.LastName = "", sql.Null[string]{}
	case 3:
		p.LastName = some("")
	}
	if n%3 > 0 {
		p.Place = some(Point{float64(n%180_000)/1000 - 90, float64(n%360_000)/1000 - 180})
	}
	return p
}

func some[T any](v T) sql.Null[T] { return sql.Null[T]{V: v, Valid: true} }

// serve is the directory: its startup, a member and a repository with both pairs, and then work until meanwhile returns.
func (l *load) serve(ctx context.Context, db *sqlx.DB, meanwhile func(context.Context) error) error {
	return l.Serve(ctx, db, "directory", func(member *switchover.Member) (trial.Operation[Person], error) {
		people, err := expand.NewRepository[Person](db, member, Names, Places)
		if err != nil {
			return nil, err
		}
		return l.register(people), nil
	}, meanwhile)
}

// register writes a person and reads it again. A first name of two words, with which the directory begins, is refused as long as full_name has to hold it
// too; then it is written with a hyphen.
func (l *load) register(people *expand.Repository[Person]) trial.Operation[Person] {
	return func(ctx context.Context, n int64) (int64, Person, error) {
		p := random(0)
		write := people.Insert
		if n%10 > 0 {
			p.ID, write = l.Pick(laneDirectory), people.Update
		}
		if n < trial.Between && n%25 == 1 {
			p.FirstName = "Ada Maria"
		}
		err := write(ctx, &p)
		if errors.Is(err, expand.ErrLossy) {
			l.refused.Add(1)
			p.FirstName = strings.ReplaceAll(p.FirstName, " ", "-")
			err = write(ctx, &p)
		}
		if err != nil {
			return 0, p, err
		}
		got, err := people.Get(ctx, p.ID)
		if err == nil && got != p {
			err = fmt.Errorf("wrote %+v, read %+v", p, got)
		}
		return p.ID, p, err
	}
}

// Who goes around the repository, by application_name: the release of before, and a script that corrects single columns.
const (
	oldBinary = "old-binary"
	script    = "script"
)

// old knows full_name, lat and lon.
func (l *load) old(db *sqlx.DB) trial.Operation[Person] {
	return func(ctx context.Context, n int64) (int64, Person, error) {
		p := random(l.Pick(laneOld))
		full := p.FirstName
		if p.LastName.Valid {
			full += " " + p.LastName.V
		}
		lat, lon := sql.Null[float64]{V: p.Place.V.Lat, Valid: p.Place.Valid}, sql.Null[float64]{V: p.Place.V.Lon, Valid: p.Place.Valid}
		var err error
		if n%10 == 0 {
			err = db.GetContext(ctx, &p.ID, `INSERT INTO people (full_name, lat, lon) VALUES ($1, $2, $3) RETURNING id`, full, lat, lon)
		} else {
			_, err = db.ExecContext(ctx, `UPDATE people SET full_name = $1, lat = $2, lon = $3 WHERE id = $4`, full, lat, lon, p.ID)
		}
		return p.ID, p, err
	}
}

// half writes one half of a set: one of the two old columns of a place, or one of the two new columns of a name.
func (l *load) half(db *sqlx.DB) trial.Operation[Person] {
	return func(ctx context.Context, n int64) (int64, Person, error) {
		p := l.Known(l.Pick(laneScript))
		next := random(p.ID)
		column, value := "last_name", any(next.LastName)
		switch {
		case n%3 == 1 && p.Place.Valid: // who has no place would have half a one
			column, value, p.Place.V.Lat = "lat", next.Place.V.Lat, next.Place.V.Lat
		case n%3 == 2 && p.Place.Valid:
			column, value, p.Place.V.Lon = "lon", next.Place.V.Lon, next.Place.V.Lon
		default:
			p.LastName = next.LastName
		}
		_, err := db.ExecContext(ctx, `UPDATE people SET `+column+` = $1 WHERE id = $2`, value, p.ID)
		return p.ID, p, err
	}
}
