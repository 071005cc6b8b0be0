package tandemriver

import (
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Args are those of a job: one slot of a migration's backfill. All of them make it unique.
type Args struct {
	Migration string `json:"migration" river:"unique"`
	Reverse   bool   `json:"reverse" river:"unique"` // copy new back to old
	Slot      int    `json:"slot" river:"unique"`    // from 1 on
}

// Kind is tandem_backfill.
func (Args) Kind() string { return "tandem_backfill" }

// InsertOpts make a job unique while it is not finished. Unlike River's default a completed one is not in the way: there may be rows to do again after a repair, or after the way back.
func (Args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

// Output is what a job has done so far, in all its slices: river.JobRow.Output has it as JSON.
type Output struct {
	Rows    int64 `json:"rows"`     // written by this job
	BadRows int64 `json:"bad_rows"` // of the migration, in the list of bad rows when the job was completed
}
