package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/tandem-go/tandem/expand"
)

// aggregatorTasks is the service that reads all rows, with SQL written by hand and the pair's fragments in it.
func aggregatorTasks(b *bench) []task {
	var most int64
	return []task{
		{"aggregate", 400 * time.Millisecond, func(ctx context.Context) error { return aggregate(ctx, b, &most) }},
		{"join", 20 * time.Millisecond, func(ctx context.Context) error { return join(ctx, b) }},
	}
}

var readOnly = &sql.TxOptions{ReadOnly: true}

// aggregate counts all users and all who have a name. Nobody deletes users, so the count never shrinks, and all have a name.
func aggregate(ctx context.Context, b *bench, most *int64) error {
	var count struct {
		Users int64 `db:"users"`
		Named int64 `db:"named"`
	}
	err := b.users.InTx(ctx, readOnly, func(ctx context.Context, tx *expand.Tx) error {
		p, err := FullName.In(tx)
		if err != nil {
			return err
		}
		return tx.GetContext(ctx, &count, `SELECT count(*) AS users, count(*) FILTER (WHERE `+p.Column("u")+` <> '') AS named FROM users u`)
	})
	if err != nil {
		return err
	}
	if count.Users < *most || count.Named < count.Users {
		return fmt.Errorf("%d users, %d of them with a name, after %d users before", count.Users, count.Named, *most)
	}
	*most = count.Users
	return nil
}

// buyer is a row of a join: the pair's field is a Value, which sqlx fills from what Select names.
type buyer struct {
	ID       int64                        `db:"id"`
	Email    string                       `db:"email"`
	FullName expand.Value[string, string] `db:"full_name"`
}

// join reads the latest buyers. Read applies the reader's rule, and reports a row whose columns differ.
func join(ctx context.Context, b *bench) error {
	return b.users.InTx(ctx, readOnly, func(ctx context.Context, tx *expand.Tx) error {
		p, err := FullName.In(tx)
		if err != nil {
			return err
		}
		var buyers []buyer
		err = tx.SelectContext(ctx, &buyers, `SELECT u.id, u.email, `+p.Select("u")+`
			FROM orders o JOIN users u ON u.id = o.user_id ORDER BY o.id DESC LIMIT 10`)
		if err != nil {
			return err
		}
		for _, row := range buyers {
			name, err := p.Read(row.FullName, row.ID)
			if err != nil {
				return err
			}
			if _, err := checkName(row.Email, name); err != nil {
				return err
			}
		}
		return nil
	})
}
