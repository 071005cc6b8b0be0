package expand

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// Upsert inserts a row, or updates its other columns where the conflict columns exist already, but for the key and the zero fields tagged
// `tandem:"default"`, which stay as they are and are read back. conflict defaults to the key; it may name the new column of a pair, or all of a
// column set, whose unique index is then old's or new's as the phase has it. Where a column of the set is NULL, new's index finds the row only if it is NULLS NOT DISTINCT.
//
// Inside a transaction, an upsert by a pair in a phase that writes both columns sets a savepoint.
func (r *Repository[T]) Upsert(ctx context.Context, row *T, conflict ...string) error {
	if err := r.refuseNil("upsert into", row); err != nil {
		return err
	}
	if err := r.model.keyed("upsert into"); err != nil { // what is updated there is found by the conflict, but no unique index of NOT NULL columns decides it
		return err
	}
	if len(conflict) == 0 {
		conflict = r.model.key
		if err := r.model.refuseConflict(); err != nil {
			return fmt.Errorf("upsert into %s: %w", r.model.table, err)
		}
	}
	conflict, err := r.model.fold(conflict)
	if err != nil {
		return fmt.Errorf("upsert into %s: conflict: %w", r.model.table, err)
	}
	for _, c := range conflict {
		if f := r.model.field(c); f.pair >= 0 && r.model.pairs[f.pair].def.Moved() {
			return fmt.Errorf("upsert into %s: column %s moves to another table, whose unique index cannot decide here: name another column", r.model.table, ident.Quote(c))
		}
	}
	return r.run(ctx, "upsert into", func(ctx context.Context, q queryer, p view) error {
		return r.upsert(ctx, q, p.phases, row, conflict)
	})
}

const (
	noArbiter       = "42P10" // invalid_column_reference: no unique index fits ON CONFLICT
	uniqueViolation = "23505"
)

// upsert tries one conflict target after the other until there is an index for it. A unique violation is tried once more: PostgreSQL fills the unique
// indexes one by one, and two upserts of one value may meet in the one that does not decide; then the second try finds the row.
func (r *Repository[T]) upsert(ctx context.Context, q queryer, p phases, row *T, conflict []string) error {
	targets := r.model.targets(p, conflict)
	choice := len(targets) > 1
	if choice {
		if err := r.savepoint(ctx, "SAVEPOINT"); err != nil {
			return err
		}
	}
	for collided := false; ; {
		err := r.insert(ctx, q, p, []*T{row}, r.model.onConflict(p, reflect.ValueOf(row).Elem(), conflict, targets[0]))
		switch state := pg.SQLState(err); {
		case choice && err == nil:
			return r.savepoint(ctx, "RELEASE SAVEPOINT")
		case len(targets) > 1 && state == noArbiter:
			targets = targets[1:]
		case choice && state == uniqueViolation && !collided:
			collided = true
		default:
			return err
		}
		if err := r.savepoint(ctx, "ROLLBACK TO SAVEPOINT"); err != nil {
			return err
		}
	}
}

// savepoint keeps a transaction usable after a refusal; outside of one there is nothing to keep.
func (r *Repository[T]) savepoint(ctx context.Context, do string) error {
	if r.tx == nil {
		return nil
	}
	_, err := r.tx.ExecContext(ctx, do+" tandem_upsert")
	return err
}

// targets are the lists of columns for ON CONFLICT, the best first: more than one where a pair's arbiter can be either column.
func (m *model) targets(p phases, conflict []string) [][]string {
	out := [][]string{nil}
	for _, c := range conflict {
		names := [][]string{{c}}
		if f := m.field(c); f.pair >= 0 {
			names = arbiters(m.pairs[f.pair].def, p.write(f.pair))
		}
		var longer [][]string
		for _, name := range names {
			for _, target := range out {
				longer = append(longer, append(slices.Clone(target), name...))
			}
		}
		out = longer
	}
	return out
}

// onConflict writes the tail of an upsert. A pair is always set, so that the stamp changes although the value does not.
func (m *model) onConflict(p phases, row reflect.Value, conflict, target []string) string {
	columns := slices.DeleteFunc(slices.Clone(m.given(m.zeros(row))), func(c string) bool {
		return m.field(c).pair < 0 && slices.Contains(conflict, c)
	})
	set := excluded(m.written(p, columns))
	if set == "" { // all that changes is in another table; the row is to be returned
		set = ident.Quote(target[0]) + " = " + ident.Quote(m.table.Name) + "." + ident.Quote(target[0])
	}
	return " ON CONFLICT (" + ident.List("", target) + ") DO UPDATE SET " + set
}
