package backfill

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"
)

const (
	// What is read at a time, with what it becomes, may take so much memory; a row alone may take more.
	batchBytes = 12 << 20
	rowBytes   = 200 // of a row beside its values, about
)

// scanned is a row as it was read.
type scanned struct {
	*row
	source any // what the conversion takes
	read   legible
	err    error
}

// readBatch reads rows as readSQL selects them, and converts them.
func (k *task) readBatch(ctx context.Context, q sqlx.QueryerContext, text string, args ...any) (*batch, error) {
	return k.readUpTo(ctx, q, 0, text, args...)
}

// readUpTo is readBatch for rows of so many bytes, and one at least; 0: for all.
func (k *task) readUpTo(ctx context.Context, q sqlx.QueryerContext, most int, text string, args ...any) (b *batch, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	b = &batch{}
	if k.exprs != nil {
		for rows.Next() {
			r := k.room()
			if err := rows.Scan(r.to(k)...); err != nil {
				return nil, err
			}
			b.rows = append(b.rows, r.row)
		}
		return b, rows.Err()
	}
	var all []*scanned
	p := newPool(k.timeout, func(r *scanned) []string { return r.key }, k.convertRow)
	for rows.Next() {
		if most > 0 && b.size >= most {
			b.cut = true
			break
		}
		r := k.room()
		if err := rows.Scan(r.to(k)...); err != nil {
			return nil, err
		}
		b.size += r.size()
		all = append(all, r)
		if err := p.add(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { // the connection is free while the last are converted
		return nil, err
	}
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.err != nil {
			b.bad = append(b.bad, badRow{r.key, r.err})
		} else {
			b.rows = append(b.rows, r.row)
		}
	}
	return b, nil
}

// room is for a row to be read.
func (k *task) room() *scanned {
	r := &scanned{row: &row{key: make([]string, len(k.types))}}
	if k.exprs == nil {
		r.sources, r.source = make([]*string, len(k.source)), k.scan()
	}
	return r
}

// to are the scan destinations, in the order of readColumns.
func (r *scanned) to(k *task) (to []any) {
	for i := range r.key {
		to = append(to, &r.key[i])
	}
	if k.exprs != nil {
		return to
	}
	for i := range r.sources {
		to = append(to, &r.sources[i])
	}
	return append(append(to, r.read.columns(k.columns(r.source))...), &r.place)
}

// size is about what it takes: a value is there as text, as what the conversion takes and as what that makes of it.
func (r *scanned) size() int {
	n := rowBytes
	for _, s := range r.sources {
		if s != nil {
			n += 3 * len(*s)
		}
	}
	return n
}

// convertRow converts one row; a value that does not convert makes it a bad one.
func (k *task) convertRow(r *scanned) {
	if r.err = r.read.err; r.err == nil {
		r.targets, r.err = k.converted(r.source)
	}
	r.source = nil
}
