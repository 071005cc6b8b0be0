package expand

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// maxParameters is the protocol's limit of parameters in a statement (a 16-bit count).
const maxParameters = 65535

// Insert inserts one row; what the database generates is read back into it.
func (r *Repository[T]) Insert(ctx context.Context, row *T) error {
	return r.run(ctx, "insert into", func(ctx context.Context, q queryer, p phases) error {
		return r.insert(ctx, q, p, []*T{row}, "")
	})
}

// InsertMany inserts rows in as few statements as PostgreSQL's limit of 65,535 parameters allows; more than one run in a transaction.
func (r *Repository[T]) InsertMany(ctx context.Context, rows []*T) error {
	return r.many(ctx, "insert into", rows, func(ctx context.Context, q queryer, p phases, chunk []*T) error {
		return r.insert(ctx, q, p, chunk, "")
	})
}

// Upsert inserts a row, or updates all its other columns where the conflict columns exist already. conflict defaults to the key; it may
// name the new column of a pair, if old has a unique index.
func (r *Repository[T]) Upsert(ctx context.Context, row *T, conflict ...string) error {
	if len(conflict) == 0 {
		conflict = r.model.key
	}
	for _, c := range conflict {
		if r.model.field(c) == nil {
			return fmt.Errorf("upsert into %s: no field for conflict column %s", r.model.table, ident.Quote(c))
		}
	}
	return r.run(ctx, "upsert into", func(ctx context.Context, q queryer, p phases) error {
		err := r.insert(ctx, q, p, []*T{row}, r.model.onConflict(p, conflict, false))
		if r.tx == nil && pg.SQLState(err) == noArbiter {
			// old's unique index is gone already (contract.Apply with Relax), new's is there
			err = r.insert(ctx, q, p, []*T{row}, r.model.onConflict(p, conflict, true))
		}
		return err
	})
}

// noArbiter is invalid_column_reference: no unique index fits ON CONFLICT.
const noArbiter = "42P10"

// Update writes all columns but the key. sql.ErrNoRows when the row is not there.
func (r *Repository[T]) Update(ctx context.Context, row *T) error {
	return r.update(ctx, row, r.model.rest, "")
}

// UpdateColumns writes the named columns of a row; the new column of a pair stands for the pair. sql.ErrNoRows when the row is not there.
func (r *Repository[T]) UpdateColumns(ctx context.Context, row *T, columns ...string) error {
	if len(columns) == 0 {
		return fmt.Errorf("update %s: no columns", r.model.table)
	}
	for _, c := range columns {
		if r.model.field(c) == nil || slices.Contains(r.model.key, c) {
			return fmt.Errorf("update %s: %s is not a column of the model that may be updated", r.model.table, ident.Quote(c))
		}
	}
	return r.update(ctx, row, columns, strings.Join(columns, ","))
}

func (r *Repository[T]) update(ctx context.Context, row *T, columns []string, key string) error {
	return r.run(ctx, "update", func(ctx context.Context, q queryer, p phases) error {
		v := reflect.ValueOf(row).Elem()
		args, err := r.model.values(p, v, columns, make([]any, 0, len(r.model.fields)+2*len(r.model.pairs)))
		if err != nil {
			return err
		}
		n := len(args)
		args, err = r.model.values(p, v, r.model.key, args)
		if err != nil {
			return err
		}
		text := r.text(statementKey{op: "update", columns: key, phases: p}, func() string {
			return "UPDATE " + r.model.table.SQL() + " SET " + assignments(r.model.written(p, columns), 1) + r.model.whereKey(n+1)
		})
		return affected(q.ExecContext(ctx, text, args...))
	})
}

func (r *Repository[T]) many(ctx context.Context, what string, rows []*T, op func(ctx context.Context, q queryer, p phases, chunk []*T) error) error {
	limit := maxParameters / (len(r.model.fields) + 2*len(r.model.pairs))
	if len(rows) > limit && r.tx == nil {
		return r.InTx(ctx, nil, func(ctx context.Context, tx *Tx) error { return r.In(tx).many(ctx, what, rows, op) })
	}
	for chunk := range slices.Chunk(rows, limit) {
		if err := r.run(ctx, what, func(ctx context.Context, q queryer, p phases) error { return op(ctx, q, p, chunk) }); err != nil {
			return err
		}
	}
	return nil
}

// insert sends one INSERT for rows, with tail behind it.
func (r *Repository[T]) insert(ctx context.Context, q queryer, p phases, rows []*T, tail string) error {
	m := r.model
	args := make([]any, 0, len(rows)*(len(m.fields)+2*len(m.pairs)))
	zeros := make([]uint64, len(rows))
	var returned uint64
	for i, row := range rows {
		var err error
		if args, zeros[i], err = m.tuple(p, reflect.ValueOf(row).Elem(), args); err != nil {
			return err
		}
		returned |= zeros[i]
	}
	build := func() string { return m.insertSQL(p, zeros, returned, tail) }
	var text string
	if len(rows) == 1 && tail == "" {
		text = r.text(statementKey{op: "insert", zero: returned, phases: p}, build)
	} else {
		text = build()
	}
	if returned == 0 {
		_, err := q.ExecContext(ctx, text, args...)
		return err
	}
	return r.readBack(ctx, q, rows, returned, text, args)
}

// tuple appends the arguments of one row. zero has a bit for each field that the database has to fill.
func (m *model) tuple(p phases, v reflect.Value, args []any) (_ []any, zero uint64, err error) {
	for i := range m.fields {
		f := &m.fields[i]
		if f.generated && reflectIsZero(v, f) {
			zero |= 1 << i
			continue
		}
		if args, err = m.value(p, v, f, args); err != nil {
			return nil, 0, err
		}
	}
	return args, zero, nil
}

// insertSQL writes an INSERT of as many rows as there are zeros: a parameter for each value, DEFAULT where the database has to choose.
func (m *model) insertSQL(p phases, zeros []uint64, returned uint64, tail string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + m.table.SQL() + " (" + ident.List("", m.written(p, m.columns)) + ") VALUES ")
	n := 0
	for row, zero := range zeros {
		separator := map[bool]string{true: "(", false: ", ("}[row == 0]
		for i := range m.fields {
			width := 1
			if f := &m.fields[i]; f.pair >= 0 {
				width = len(writeColumns(m.pairs[f.pair].def, p.write(f.pair)))
			}
			for range width {
				b.WriteString(separator)
				separator = ", "
				if zero>>i&1 == 1 {
					b.WriteString("DEFAULT")
					continue
				}
				n++
				b.WriteString("$" + strconv.Itoa(n))
			}
		}
		b.WriteByte(')')
	}
	b.WriteString(tail)
	if returned != 0 {
		b.WriteString(" RETURNING " + ident.List("", m.returned(returned)))
	}
	return b.String()
}

func (m *model) returned(mask uint64) (names []string) {
	for i := range m.fields {
		if mask>>i&1 == 1 {
			names = append(names, m.fields[i].name)
		}
	}
	return names
}

// readBack runs an INSERT with RETURNING; PostgreSQL returns the rows of VALUES in their order.
func (r *Repository[T]) readBack(ctx context.Context, q queryer, into []*T, returned uint64, text string, args []any) (err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := 0
	to := make([]any, 0, 4)
	for ; rows.Next() && n < len(into); n++ {
		v := reflect.ValueOf(into[n]).Elem()
		to = to[:0]
		for i := range r.model.fields {
			if returned>>i&1 == 1 {
				to = append(to, address(v, &r.model.fields[i]))
			}
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n < len(into) {
		return fmt.Errorf("%d rows sent, %d came back: a rule or trigger keeps rows out", len(into), n)
	}
	return nil
}

func reflectIsZero(v reflect.Value, f *field) bool {
	return reflect.Indirect(reflect.ValueOf(address(v, f))).IsZero()
}

// value appends the arguments for a field: one, or those of its pair.
func (m *model) value(p phases, v reflect.Value, f *field, args []any) ([]any, error) {
	at := address(v, f)
	if f.pair < 0 {
		return append(args, argument(reflect.ValueOf(at).Elem().Interface())), nil
	}
	ph := p.write(f.pair)
	return m.pairs[f.pair].write(ph, at, ph.Stamp(), args)
}

func (m *model) values(p phases, v reflect.Value, columns []string, args []any) ([]any, error) {
	for _, c := range columns {
		var err error
		if args, err = m.value(p, v, m.field(c), args); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// written are the columns of the table that stand for the model's columns in the phases.
func (m *model) written(p phases, columns []string) []string {
	out := make([]string, 0, len(columns)+2*len(m.pairs))
	for _, c := range columns {
		if f := m.field(c); f.pair >= 0 {
			out = append(out, writeColumns(m.pairs[f.pair].def, p.write(f.pair))...)
		} else {
			out = append(out, c)
		}
	}
	return out
}

// onConflict writes the tail of an upsert. Old decides as long as it is written: its unique index is the older one, which
// PostgreSQL checks first, so that two upserts of one value never meet as a plain unique violation.
func (m *model) onConflict(p phases, conflict []string, byNew bool) string {
	target := make([]string, len(conflict))
	for i, c := range conflict {
		target[i] = c
		if f := m.field(c); f.pair >= 0 && !byNew && p.write(f.pair).WritesOld() {
			target[i] = m.pairs[f.pair].def.Old[0]
		}
	}
	rest := m.written(p, without(without(m.columns, conflict), m.key))
	for _, c := range conflict { // the stamp must change although the value does not
		if f := m.field(c); f.pair >= 0 {
			rest = append(rest, writeColumns(m.pairs[f.pair].def, p.write(f.pair))...)
		}
	}
	if len(rest) == 0 {
		return " ON CONFLICT (" + ident.List("", target) + ") DO NOTHING"
	}
	return " ON CONFLICT (" + ident.List("", target) + ") DO UPDATE SET " + excluded(rest)
}
