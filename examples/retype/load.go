package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// load is what goes on while the column changes: two goroutines that write, and know the cents of their items.
type load struct{ *trial.Load[int64] }

func newLoad(rows int64) *load { return &load{trial.NewLoad(rows, initialCents)} }

// Who writes the ids of the start that end in which digit.
const (
	laneShop = 1
	laneOld  = 2
)

// serve is the shop: its startup, a member and a repository, and then work until meanwhile returns.
func (l *load) serve(ctx context.Context, db *sqlx.DB, meanwhile func(context.Context) error) error {
	return l.Serve(ctx, db, "shop", func(member *switchover.Member) (trial.Operation[int64], error) {
		items, err := expand.NewRepository[Item](db, member, PriceCents)
		if err != nil {
			return nil, err
		}
		return l.sell(items), nil
	}, meanwhile)
}

// sell writes an item and reads it again. Nothing in it says that a migration runs.
func (l *load) sell(items *expand.Repository[Item]) trial.Operation[int64] {
	return func(ctx context.Context, n int64) (id, cents int64, err error) {
		item := Item{Name: "sold", PriceCents: rand.Int64N(1_000_000)}
		if n%10 == 0 {
			err = items.Insert(ctx, &item)
		} else {
			item.ID = l.Pick(laneShop)
			err = items.Update(ctx, &item)
		}
		if err != nil {
			return 0, 0, err
		}
		got, err := items.Get(ctx, item.ID)
		if err == nil && got != item {
			err = fmt.Errorf("wrote %+v, read %+v", item, got)
		}
		return item.ID, item.PriceCents, err
	}
}

// oldBinary is the release of before, by its application_name.
const oldBinary = "old-binary"

// old knows price alone. Its prices are three tenths of a cent below whole cents, which only a conversion that rounds gets right.
func (l *load) old(db *sqlx.DB) trial.Operation[int64] {
	return func(ctx context.Context, n int64) (id, cents int64, err error) {
		cents = 1 + rand.Int64N(1_000_000)
		price := fmt.Sprintf("%d.%02d7", (cents-1)/100, (cents-1)%100)
		query, arg := `UPDATE items SET price = $1 WHERE id = $2 RETURNING id`, any(l.Pick(laneOld))
		if n%10 == 0 {
			query, arg = `INSERT INTO items (price, name) VALUES ($1, $2) RETURNING id`, "old"
		}
		err = db.GetContext(ctx, &id, query, price, arg)
		return id, cents, err
	}
}
