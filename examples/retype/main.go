// Command retype changes the type of a column of a live table: items.price, double precision, becomes items.price_cents, bigint, converted
// in Go alone, while a shop reads and writes it and an old binary writes price.
//
//	go run ./examples/retype
//
// Read item.go, the pair and the model, and story.go, the migration. The rest is the load (load.go) and the proof (proof.go): no
// acknowledged write is lost, and every row has the cents that it must have. The exit code is 0 when that is so and no operation failed, 1
// when not, 2 for a bad flag. examples/split is about more than one column; examples/rename is the larger program: five processes, and what becomes of
// indexes and constraints.
package main

import (
	"context"

	_ "github.com/lib/pq"

	"github.com/tandem-go/tandem/examples/internal/trial"
)

func main() { trial.Main(program) }

var program = trial.Program{Name: "retype", Rows: 20_000, Least: minRows, Applications: []string{"operator", "shop", oldBinary}, Play: play}

const minRows = 100 // gives each lane a few

func play(ctx context.Context, s *trial.Stage) error {
	db := s.DB["operator"]
	if err := createTable(ctx, db, s.Rows); err != nil {
		return err
	}
	l := newLoad(s.Rows)
	op := &operator{db: db, load: l, say: s.Say, stopOld: l.Start(ctx, l.old(s.DB[oldBinary]))}
	err := l.serve(ctx, s.DB["shop"], op.tell)
	op.stopOld()
	l.Report(s)
	s.Differences += op.differences
	if err != nil {
		return err
	}
	return s.Prove(ctx, db, func(ctx context.Context) error { return prove(ctx, db, l, "price_cents", &s.Result) })
}
