// Command split changes two things of one live table at once, each in its own migration and at its own pace: people.full_name is split into
// first_name and last_name, and lat and lon are merged into place, a point. Meanwhile a directory reads and writes people, an old binary writes full_name, lat
// and lon, and a script writes now lat alone, now lon, now last_name.
//
//	go run ./examples/split
//
// Read person.go, the pairs and the model, and story.go, the migrations. The rest is the load (load.go) and the proof (proof.go): no acknowledged write is
// lost, and every row is what it must be, in both shapes while there are two. Flags and exit codes are those of examples/retype.
package main

import (
	"context"

	_ "github.com/lib/pq"

	"github.com/tandem-go/tandem/examples/internal/trial"
)

func main() { trial.Main(program) }

var program = trial.Program{Name: "split", Rows: 50_000, Least: minRows, Applications: []string{"operator", "directory", oldBinary, script}, Play: play}

const minRows = 100 // gives each lane a few

func play(ctx context.Context, s *trial.Stage) error {
	db := s.DB["operator"]
	if err := createTable(ctx, db, s.Rows); err != nil {
		return err
	}
	l := newLoad(s.Rows)
	op := newOperator(ctx, s, l)
	err := l.serve(ctx, s.DB["directory"], op.tell)
	op.stopOthers()
	l.Report(s)
	s.Say("%d first names of two words refused: full_name cannot hold them", l.refused.Load())
	if err != nil {
		return err
	}
	return s.Prove(ctx, db, func(ctx context.Context) error { return prove(ctx, db, l, inNew, &s.Result) })
}
