package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// pairOfRow is a row as it was read.
type pairOfRow struct {
	key     []string
	stamp   sql.NullInt64
	was, is any
	read    legible
	differs bool
}

// compareInGo reads rows and asks the pair, while it goes on reading.
func (v *verifier) compareInGo(ctx context.Context, q sqlx.QueryerContext, k *task, from, where string, args []any) (f found, err error) {
	columns := ident.QuoteAll("t.", append([]string{k.d.Stamp}, append(slices.Clone(k.d.Old), k.d.New...)...))
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s", k.keyText(), strings.Join(columns, ", "), from, where), args...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var all []*pairOfRow
	p := newPool(k.timeout, func(r *pairOfRow) []string { return r.key }, func(r *pairOfRow) { r.differs = v.rowDiffers(r) })
	for rows.Next() {
		r := &pairOfRow{key: make([]string, len(k.types)), was: v.conversion.ScanOld(), is: v.conversion.ScanNew()}
		to := make([]any, 0, len(r.key)+1+len(k.d.Old)+len(k.d.New))
		for i := range r.key {
			to = append(to, &r.key[i])
		}
		to = append(append(to, &r.stamp), r.read.columns(v.conversion.Old(r.was))...)
		if err := rows.Scan(append(to, r.read.columns(v.conversion.New(r.is))...)...); err != nil {
			return found{}, err
		}
		f.rows++
		all = append(all, r)
		if err := p.add(ctx, r); err != nil {
			return found{}, err
		}
	}
	if err := errors.Join(rows.Err(), p.wait(ctx)); err != nil {
		return found{}, err
	}
	for _, r := range all {
		if r.differs {
			f.keys = append(f.keys, r.key)
		}
	}
	f.differences = int64(len(f.keys))
	return f, nil
}

// rowDiffers asks the pair. A value that does not convert is a difference like any other.
func (v *verifier) rowDiffers(r *pairOfRow) bool {
	switch {
	case !r.stamp.Valid || r.read.err != nil && r.stamp.Int64 < int64(phase.Contract.Floor()):
		return true
	case r.stamp.Int64 >= int64(phase.Contract.Floor()):
		return false
	}
	same, err := safely(func() (bool, error) { return v.conversion.Equal(r.was, r.is) })
	if err == nil && same && v.conversion.Returns != nil {
		same, err = safely(func() (bool, error) { return v.conversion.Returns(r.is) })
	}
	return err != nil || !same
}
