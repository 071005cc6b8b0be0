package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
)

// writerTasks is the service that inserts and upserts.
func writerTasks(b *bench) []task {
	w := &writer{bench: b}
	return []task{
		{"insert", 10 * time.Millisecond, w.insert},
		{"upsert", 10 * time.Millisecond, w.upsert},
	}
}

// writer numbers what its two goroutines write.
type writer struct {
	*bench
	inserted, upserted int64
	mine               []int64 // ids that insert made
}

// insert adds a user, every tenth time three in one statement, and reads one of its users back.
func (w *writer) insert(ctx context.Context) error {
	w.inserted++
	if w.inserted%10 == 0 {
		return w.bulk(ctx)
	}
	user := fmt.Sprintf("new-%d", w.inserted)
	u := User{FullName: nameOf(user, 0), Email: emailOf(user)}
	err := w.users.Insert(ctx, &u)
	if w.record.insert(u.ID, u.FullName, err) != nil {
		return err
	}
	w.mine = append(w.mine, u.ID)

	id := w.mine[rand.IntN(len(w.mine))]
	read, err := w.users.Get(ctx, id)
	if err != nil {
		return err
	}
	return w.record.check(id, read.FullName)
}

// bulkRow is a row for SQL written by hand: the pair's field is a Value.
type bulkRow struct {
	Email    string                       `db:"email"`
	FullName expand.Value[string, string] `db:"full_name"`
}

// bulk inserts with SQL written by hand: the pair in the phase of the transaction gives the columns, the parameters and the values. InTx runs it
// again, in the next phase, if the migration has taken a step meanwhile.
func (w *writer) bulk(ctx context.Context) error {
	var names []string
	var ids []int64
	err := w.users.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		p, err := FullName.In(tx)
		if err != nil {
			return err
		}
		names, ids = nil, nil
		var rows []bulkRow
		for i := range 3 {
			user := fmt.Sprintf("bulk-%d-%d", w.inserted, i)
			v, err := p.Value(nameOf(user, 0))
			if err != nil {
				return err
			}
			names = append(names, nameOf(user, 0))
			rows = append(rows, bulkRow{Email: emailOf(user), FullName: v})
		}
		query := `INSERT INTO users (email, ` + p.Columns() + `) VALUES (:email, ` + p.Params() + `) RETURNING id`
		ids, err = idsOf(ctx, tx, query, rows)
		return err
	})
	for i, name := range names {
		var id int64
		if err == nil {
			id = ids[i]
		}
		_ = w.record.insert(id, name, err)
	}
	return err
}

func idsOf(ctx context.Context, tx *expand.Tx, query string, arg any) (ids []int64, err error) {
	rows, err := sqlx.NamedQueryContext(ctx, tx.Tx, query, arg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// upsert renames a user that it finds by email, or finds one by name and counts a login; which column decides a conflict by name is the
// phase's business.
func (w *writer) upsert(ctx context.Context) error {
	w.upserted++
	id := w.pick(laneUpsert)
	user := initialUser(id)
	u := User{FullName: nameOf(user, w.upserted), Email: emailOf(user), Logins: int(w.upserted)}
	conflict := "email"
	if w.upserted%2 == 0 {
		u.FullName, conflict = w.record.name(id), "full_name"
	}
	err := w.users.Upsert(ctx, &u, conflict)
	if w.record.update(id, u.FullName, err) != nil {
		return err
	}
	if u.ID != id {
		return fmt.Errorf("upsert by %s of user %d went to user %d", conflict, id, u.ID)
	}
	read, err := w.users.Get(ctx, id)
	if err != nil {
		return err
	}
	return w.record.check(id, read.FullName)
}
