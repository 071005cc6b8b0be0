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
)

// maxParameters is the protocol's limit of parameters in a statement (a 16-bit count).
const maxParameters = 65535

// Insert inserts one row; what the database generates is read back into it.
func (r *Repository[T]) Insert(ctx context.Context, row *T) error {
	if err := r.refuseNil("insert into", row); err != nil {
		return err
	}
	return r.run(ctx, "insert into", func(ctx context.Context, q queryer, p view) error {
		return r.insert(ctx, q, p.phases, []*T{row}, "")
	})
}

// InsertMany inserts rows in as few statements as PostgreSQL's limit of 65,535 parameters allows; more than one run in a transaction. From
// Contract on it is a statement for each row where a pair moves to another table.
func (r *Repository[T]) InsertMany(ctx context.Context, rows []*T) error {
	if err := r.refuseNil("insert into", rows...); err != nil {
		return err
	}
	limit := maxParameters / r.model.width
	if (len(rows) > limit || len(rows) > 1 && r.model.moves()) && r.tx == nil {
		return r.InTx(ctx, nil, func(ctx context.Context, tx *Tx) error { return r.In(tx).InsertMany(ctx, rows) })
	}
	for chunk := range slices.Chunk(rows, limit) {
		err := r.run(ctx, "insert into", func(ctx context.Context, q queryer, p view) error { return r.insert(ctx, q, p.phases, chunk, "") })
		if err != nil {
			return err
		}
	}
	return nil
}

// Update writes all columns but the key and the zero fields tagged `tandem:"default"`, which stay as they are. sql.ErrNoRows when the row is not there.
func (r *Repository[T]) Update(ctx context.Context, row *T) error {
	if err := r.refuseNil("update", row); err != nil {
		return err
	}
	zero := r.model.zeros(reflect.ValueOf(row).Elem())
	return r.update(ctx, row, r.model.given(zero), statementKey{op: "update", zero: zero})
}

// UpdateColumns writes the named columns of a row, zero or not; the new column of a pair stands for the pair, and
// those of a column set are named together. sql.ErrNoRows when the row is not there.
func (r *Repository[T]) UpdateColumns(ctx context.Context, row *T, columns ...string) error {
	if err := r.refuseNil("update", row); err != nil {
		return err
	}
	if len(columns) == 0 {
		return fmt.Errorf("update %s: no columns", r.model.table)
	}
	columns, err := r.model.fold(columns)
	if err != nil {
		return fmt.Errorf("update %s: %w", r.model.table, err)
	}
	for _, c := range columns {
		if slices.Contains(r.model.key, c) {
			return fmt.Errorf("update %s: %s is of the key, which does not change", r.model.table, ident.Quote(c))
		}
	}
	return r.update(ctx, row, columns, statementKey{op: "update", columns: strings.Join(columns, ",")})
}

func (r *Repository[T]) update(ctx context.Context, row *T, columns []string, key statementKey) error {
	if err := r.model.keyed("update"); err != nil {
		return err
	}
	return r.run(ctx, "update", func(ctx context.Context, q queryer, p view) error {
		v := reflect.ValueOf(row).Elem()
		args, err := r.model.values(p.phases, v, columns, make([]any, 0, r.model.width))
		if err != nil {
			return err
		}
		n := len(args)
		args, err = r.model.values(p.phases, v, r.model.key, args)
		if err != nil {
			return err
		}
		key.phases = p.phases
		there := r.model.there(p.phases, columns)
		args = r.model.valuesThere(p.phases, v, there, args)
		text := r.text(key, func() string {
			if len(there) > 0 {
				return r.model.updateThereSQL(p.phases, columns, there)
			}
			return "UPDATE " + r.model.writes(p.phases) + " SET " + assignments(r.model.written(p.phases, columns), 1) + r.model.whereKey(n+1)
		})
		return affected(q.ExecContext(ctx, text, args...))
	})
}

func (r *Repository[T]) refuseNil(what string, rows ...*T) error {
	if i := slices.Index(rows, nil); i >= 0 {
		return fmt.Errorf("%s %s: row %d is nil", what, r.model.table, i)
	}
	return nil
}

// insert sends one INSERT for rows, with tail behind it.
func (r *Repository[T]) insert(ctx context.Context, q queryer, p phases, rows []*T, tail string) error {
	m := r.model
	there := m.there(p, m.columns)
	if len(rows) > 1 && len(there) > 0 { // a row of the other table takes the key that its row has got
		for _, row := range rows {
			if err := r.insert(ctx, q, p, []*T{row}, tail); err != nil {
				return err
			}
		}
		return nil
	}
	args := make([]any, 0, len(rows)*m.width)
	zeros := make([]uint64, len(rows))
	var returned uint64
	for i, row := range rows {
		var err error
		v := reflect.ValueOf(row).Elem()
		zeros[i] = m.zeros(v)
		if args, err = m.tuple(p, v, zeros[i], args); err != nil {
			return err
		}
		returned |= zeros[i]
		args = m.valuesThere(p, v, there, args)
	}
	build := func() string { return m.insertSQL(p, zeros, returned, tail) }
	if len(there) > 0 {
		build = func() string { return m.insertThereSQL(p, zeros, returned, tail, there) }
	}
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
	if r.tx != nil {
		sent := slices.Clone(rows) // the slice is the caller's
		r.tx.undo = append(r.tx.undo, func() { r.unread(sent, zeros) })
	}
	return r.readBack(ctx, q, rows, returned, text, args)
}

// tuple appends the arguments of one row, but for the fields that the database has to fill.
func (m *model) tuple(p phases, v reflect.Value, zero uint64, args []any) (_ []any, err error) {
	for i := range m.fields {
		if zero>>i&1 == 1 {
			continue
		}
		if args, err = m.value(p, v, &m.fields[i], args); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// insertSQL writes an INSERT of as many rows as there are zeros: a parameter for each value, DEFAULT where the database has to choose.
func (m *model) insertSQL(p phases, zeros []uint64, returned uint64, tail string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + m.writes(p) + " (" + ident.List("", m.written(p, m.columns)) + ") VALUES ")
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

// unread makes the fields zero again that were read back from rows which were rolled back.
func (r *Repository[T]) unread(rows []*T, zeros []uint64) {
	for i, row := range rows {
		v := reflect.ValueOf(row).Elem()
		for j := range r.model.fields {
			if zeros[i]>>j&1 == 1 {
				reflect.ValueOf(address(v, &r.model.fields[j])).Elem().SetZero()
			}
		}
	}
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

// value appends the arguments for a field: one, or those of its pair.
func (m *model) value(p phases, v reflect.Value, f *field, args []any) ([]any, error) {
	if f.pair < 0 {
		return append(args, argument(reflect.ValueOf(address(v, f)).Elem().Interface())), nil
	}
	ph := p.write(f.pair)
	return m.pairs[f.pair].write(ph, m.pairs[f.pair].gather(v, f), ph.Stamp(), args)
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
