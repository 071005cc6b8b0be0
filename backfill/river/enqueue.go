package tandemriver

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const maxSlots = 100

// EnqueueOptions say which jobs. The zero value is complete.
type EnqueueOptions struct {
	Reverse bool              // copy new back to old, after switchover.Revert from Contract; defaults to old to new
	Slots   int               // jobs, and so slices that are worked at a time, 1 to 100; defaults to 1
	Insert  *river.InsertOpts // queue, priority, attempts and so on of each; defaults to River's, without UniqueOpts to those of Args
}

// Enqueue inserts the jobs of a migration's slots, those that are not there yet, and returns one result for each slot. It asks the database for nothing else: the job says what is wrong with the migration.
//
// Errors are those of the options, and River's: a client that has Workers must have a Worker among them.
func Enqueue[T any](ctx context.Context, client *river.Client[T], migration string, o EnqueueOptions) ([]*rivertype.JobInsertResult, error) {
	jobs, err := Jobs(migration, o)
	if err != nil {
		return nil, err
	}
	results, err := client.InsertMany(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", migration, err)
	}
	return results, nil
}

// Jobs are what Enqueue inserts, for those who do it themselves, by InsertManyTx say.
func Jobs(migration string, o EnqueueOptions) ([]river.InsertManyParams, error) {
	if o.Slots == 0 {
		o.Slots = 1
	}
	switch {
	case migration == "":
		return nil, errors.New("enqueue: no migration: name it as Pair.Name does")
	case o.Slots < 1 || o.Slots > maxSlots:
		return nil, fmt.Errorf("enqueue %s: options: %d slots: must lie between 1 and %d", migration, o.Slots, maxSlots)
	}
	jobs := make([]river.InsertManyParams, o.Slots)
	for i := range jobs {
		jobs[i] = river.InsertManyParams{Args: Args{Migration: migration, Reverse: o.Reverse, Slot: i + 1}, InsertOpts: o.Insert}
	}
	return jobs, nil
}
