package backfill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
)

// writeBack stores a batch: its rows by compare-and-set, bad rows in tandem.bad_row.
func (k *task) writeBack(ctx context.Context, tx *sqlx.Tx, b *batch) (int64, error) {
	var written int64
	if b.len() > 0 {
		var text string
		args := b.keys(len(k.types))
		if k.exprs != nil {
			text = k.updateKeysSQL()
			if err := runAll(ctx, tx, k.before(k.named()), args); err != nil {
				return 0, err
			}
		} else {
			text = k.writeBackSQL()
			args = append(args, b.values(len(k.source), len(k.target))...)
			if size := sizeOf(args); size > maxMessage {
				return 0, errTooLarge{size}
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
