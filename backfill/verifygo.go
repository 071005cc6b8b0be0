package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// pairOfRow is a row as it was read.
type pairOfRow struct {
	key     []string
	stamp   sql.NullInt64
	was, is any
	read    legible
}

// chunkRows go from the reader to the converters at a time.
const chunkRows = 256

// compareInGo reads rows and asks the pair, while it goes on reading.
func (v *verifier) compareInGo(ctx context.Context, q sqlx.QueryerContext, k *task, from, where string, args []any) (f found, err error) {
	columns := ident.QuoteAll("t.", append([]string{k.d.Stamp}, append(slices.Clone(k.d.Old), k.d.New...)...))
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s", k.keyText(), strings.Join(columns, ", "), from, where), args...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var results []*[][]string // of each chunk, in order
	chunk := make([]*pairOfRow, 0, chunkRows)
	compare := func() {
		these, differ := chunk, new([][]string)
		results, chunk = append(results, differ), make([]*pairOfRow, 0, chunkRows)
		g.Go(func() error {
			for _, r := range these {
				if v.rowDiffers(r) {
					*differ = append(*differ, r.key)
				}
			}
			return nil
		})
	}
	for rows.Next() {
		r := &pairOfRow{key: make([]string, len(k.types)), was: v.conversion.ScanOld(), is: v.conversion.ScanNew()}
		to := make([]any, 0, len(r.key)+1+len(k.d.Old)+len(k.d.New))
		for i := range r.key {
			to = append(to, &r.key[i])
		}
		to = append(append(to, &r.stamp), r.read.columns(v.conversion.Old(r.was))...)
		if err := rows.Scan(append(to, r.read.columns(v.conversion.New(r.is))...)...); err != nil {
			return found{}, errors.Join(err, g.Wait())
		}
		f.rows++
		if chunk = append(chunk, r); len(chunk) == chunkRows {
			compare()
		}
	}
	compare()
	err = errors.Join(g.Wait(), rows.Err())
	for _, differ := range results {
		f.keys = append(f.keys, *differ...)
	}
	f.differences = int64(len(f.keys))
	return f, err
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
