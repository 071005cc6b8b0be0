package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
)

// prove asks the database whether all went as it should.
func (r *result) prove(ctx context.Context, db *sqlx.DB, s *stage) error {
	if err := r.proveWrites(ctx, db); err != nil {
		return err
	}
	r.proveEquality(s)
	return r.proveCatalog(ctx, db)
}

// proveWrites compares all rows with what the services know to be stored.
func (r *result) proveWrites(ctx context.Context, db *sqlx.DB) error {
	lost, err := lostWrites(users(ctx, db), r.Rows, r.records)
	if err != nil {
		return fmt.Errorf("read all users: %w", err)
	}
	all := merge(r.records)
	r.LostWrites = int64(len(lost))
	r.proofs = append(r.proofs, proof{
		claim:   "every acknowledged write is there, and every row of the start",
		detail:  fmt.Sprintf("%s writes to %s users", thousands(all.Writes), thousands(int64(len(all.Acked)))),
		against: lost,
	})
	return nil
}

// users reads the whole table, row by row.
func users(ctx context.Context, db *sqlx.DB) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		rows, err := db.QueryxContext(ctx, `SELECT id, full_name FROM users ORDER BY id`)
		if err != nil {
			yield(stored{}, err)
			return
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var row stored
			err := rows.StructScan(&row)
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(stored{}, err)
		}
	}
}

func (r *result) proveEquality(s *stage) {
	p := proof{
		claim:  "user_name equalled full_name until the drop",
		detail: fmt.Sprintf("%d comparisons of all rows, one right before the swap, and every read of Migrate and Switch", s.verified),
	}
	if s.differences > 0 {
		p.against = append(p.against, fmt.Sprintf("%d rows differed in the comparisons", s.differences))
	}
	if s.seen > 0 {
		p.against = append(p.against, fmt.Sprintf("%d rows were seen to differ by reads", s.seen))
	}
	r.proofs = append(r.proofs, p)
}

// proveCatalog compares the table with the one that ALTER TABLE RENAME COLUMN has left.
func (r *result) proveCatalog(ctx context.Context, db *sqlx.DB) error {
	have, err := catalog.Describe(ctx, db, ident.Table{Schema: ident.DefaultSchema, Name: "users"})
	if err != nil {
		return err
	}
	want, err := catalog.Describe(ctx, db, ident.Table{Schema: yardstick, Name: "users"})
	if err != nil {
		return err
	}
	against := difference(want, have)
	r.Differences += int64(len(against))
	r.proofs = append(r.proofs, proof{
		claim:   "the catalog is what ALTER TABLE RENAME COLUMN leaves, but for the column's position",
		detail:  fmt.Sprintf("%d properties of columns, indexes and constraints compared", len(want)),
		against: against,
	})
	return nil
}

// difference lists the lines that only one of two sorted lists has.
func difference(want, have []string) []string {
	var out []string
	for _, line := range want {
		if _, ok := slices.BinarySearch(have, line); !ok {
			out = append(out, "missing: "+line)
		}
	}
	for _, line := range have {
		if _, ok := slices.BinarySearch(want, line); !ok {
			out = append(out, "besides: "+line)
		}
	}
	return out
}
