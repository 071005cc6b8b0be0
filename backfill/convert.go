package backfill

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// batch are rows to be copied by their keys, column by column as unnest takes them.
type batch struct {
	keys    [][]string  // an array for each key column
	sources [][]*string // for a conversion in Go: what was read, an array for each column
	targets [][]any     // and what it became
	bad     []badRow

	accepted int // of the bad ones, those that an operator lives with; known once they are written
}

type badRow struct {
	key []string
	err error
}

func (b *batch) len() int {
	if len(b.keys) == 0 {
		return 0
	}
	return len(b.keys[0])
}

// slice are the rows from lo up to before hi; the bad ones go with the first.
func (b *batch) slice(lo, hi int) *batch {
	out := &batch{keys: rowsOf(b.keys, lo, hi), sources: rowsOf(b.sources, lo, hi), targets: rowsOf(b.targets, lo, hi)}
	if lo == 0 {
		out.bad = b.bad
	}
	return out
}

func rowsOf[T any](columns [][]T, lo, hi int) [][]T {
	out := make([][]T, len(columns))
	for i, column := range columns {
		out[i] = column[lo:hi]
	}
	return out
}

func (b *batch) key(i int) []string {
	out := make([]string, len(b.keys))
	for c, column := range b.keys {
		out[c] = column[i]
	}
	return out
}

// copyInGo reads rows, converts them, and writes back what has not changed meanwhile, together with the position.
func (w *worker) copyInGo(ctx context.Context, s slice) (statement, error) {
	b, err := w.task.readBatch(ctx, w.db, w.task.readSQL(s.where), s.args...)
	if err != nil {
		return statement{}, err
	}
	return w.commit(ctx, b, s.next)
}

// readBatch reads rows as readSQL selects them, and converts them.
func (k *task) readBatch(ctx context.Context, q sqlx.QueryerContext, text string, args ...any) (*batch, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	b := &batch{keys: make([][]string, len(k.types))}
	if k.exprs == nil {
		b.sources, b.targets = make([][]*string, len(k.source)), make([][]any, len(k.target))
	}
	for rows.Next() {
		key := make([]string, len(k.types))
		to := make([]any, 0, len(key)+2*len(k.source))
		for i := range key {
			to = append(to, &key[i])
		}
		if k.exprs != nil {
			if err := rows.Scan(to...); err != nil {
				return nil, err
			}
			add(b.keys, key)
			continue
		}
		var read legible
		texts, source := make([]*string, len(k.source)), k.scan()
		for i := range texts {
			to = append(to, &texts[i])
		}
		if err := rows.Scan(append(to, read.columns(k.columns(source))...)...); err != nil {
			return nil, err
		}
		if read.err != nil {
			b.bad = append(b.bad, badRow{key, read.err})
			continue
		}
		b.add(k, key, texts, source)
	}
	return b, rows.Err()
}

func add[T any](columns [][]T, row []T) {
	for i, v := range row {
		columns[i] = append(columns[i], v)
	}
}

// add converts one row; a value that does not convert makes the row a bad one.
func (b *batch) add(k *task, key []string, texts []*string, source any) {
	targets, err := safely(func() ([]any, error) { return k.convert(source) })
	if err != nil {
		b.bad = append(b.bad, badRow{key, err})
		return
	}
	for i := range targets {
		targets[i] = k.element(i, targets[i])
	}
	add(b.keys, key)
	add(b.sources, texts)
	add(b.targets, targets)
}

// element makes a converted value one that an array of its column can hold.
func (k *task) element(column int, target any) any {
	if value, err := driver.DefaultParameterConverter.ConvertValue(target); err == nil {
		target = value // what hides in a Valuer or a type of the application's: a []byte must be seen
	}
	if v := reflect.ValueOf(target); v.Kind() == reflect.Slice && v.IsNil() {
		target = nil // NULL: in an array a nil []byte would be ''
	}
	if raw, ok := target.([]byte); ok && k.bytes[column] {
		target = `\x` + hex.EncodeToString(raw) // an array element is text
	}
	return target
}

// safely turns a panic of the application's conversion into an error of that row.
func safely[T any](convert func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the conversion panicked: %v", p)
		}
	}()
	return convert()
}

// writeBack stores a batch: its rows by compare-and-set, bad rows in tandem.bad_row.
func (k *task) writeBack(ctx context.Context, tx *sqlx.Tx, b *batch) (int64, error) {
	var written int64
	if b.len() > 0 {
		args := make([]any, 0, len(b.keys)+len(b.sources)+len(b.targets))
		for _, column := range b.keys {
			args = append(args, pq.Array(column))
		}
		var text string
		if k.exprs != nil {
			text = k.updateKeysSQL()
			if err := runAll(ctx, tx, k.before(k.named()), args); err != nil {
				return 0, err
			}
		} else {
			if size := b.size(); size > maxMessage {
				return 0, errTooLarge{size}
			}
			text = k.writeBackSQL()
			for _, column := range b.sources {
				args = append(args, pq.Array(column))
			}
			for _, column := range b.targets {
				args = append(args, pq.GenericArray{A: column})
			}
		}
		res, err := tx.ExecContext(ctx, text, args...)
		if err != nil {
			return 0, err
		}
		if written, err = res.RowsAffected(); err != nil {
			return 0, err
		}
	}
	if len(b.bad) > 0 && k.d.Keyless() {
		bad := b.bad[0]
		return written, fmt.Errorf("the row at %s of %s cannot be set aside, for it has no key: mend it (WHERE ctid = '%s', at once) and run again: %w", bad.key[0], k.table, bad.key[0], bad.err)
	}
	var err error
	b.accepted, err = k.setAside(ctx, tx, b.bad)
	return written, err
}

// storable is an error's text as the server takes it: the application may have put any bytes into it.
func storable(err error) string {
	return strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
}
