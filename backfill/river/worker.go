package tandemriver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/riverqueue/river"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

const (
	defaultFor = 10 * time.Second
	// A job reads the table before and after its slices, which may take longer than all of them. River counts a job for stuck after an hour as well.
	defaultMore = time.Hour
	// A paused migration is asked again no more often.
	minPause = time.Second
)

// Migration is one whose backfill jobs may do in this process.
type Migration struct {
	DB      *sqlx.DB         // has the table; a job takes Run.Workers connections of it, and one more with Run.Throttles
	Pair    expand.Any       // its name is that of the migration
	Run     backfill.Options // of each slice. For defaults to 10 s; Reverse is the job's; Progress and Log are shared by all jobs that this process works at a time
	Timeout time.Duration    // of a slice with what it reads before and after, instead of river.Config.JobTimeout; longer than Run.For; defaults to an hour more than that
}

// withDefaults checks what can be checked without the database.
func (m Migration) withDefaults() (Migration, error) {
	if m.Run.For == 0 {
		m.Run.For = defaultFor
	}
	if m.Timeout == 0 {
		m.Timeout = m.Run.For + defaultMore
	}
	switch {
	case m.Pair == nil:
		return m, errors.New("no pair")
	case m.Pair.Err() != nil:
		return m, m.Pair.Err()
	case m.DB == nil:
		return m, fmt.Errorf("%s: no database", m.Pair.Name())
	case m.Run.Reverse:
		return m, fmt.Errorf("%s: options: Reverse: EnqueueOptions say so", m.Pair.Name())
	case m.Run.For < 0:
		return m, fmt.Errorf("%s: options: for %s: must be positive", m.Pair.Name(), m.Run.For)
	case m.Timeout <= m.Run.For:
		return m, fmt.Errorf("%s: timeout %s: must be longer than a slice of %s", m.Pair.Name(), m.Timeout, m.Run.For)
	}
	return m, nil
}

// Worker works the jobs of the migrations that it knows. Make it with NewWorker, and register it with river.AddWorker.
type Worker struct {
	river.WorkerDefaults[Args]

	migrations map[string]Migration
}

// NewWorker makes a Worker. It sends nothing to the databases. Its errors are those of a pair's declaration, of the options, and of a migration that is named twice.
func NewWorker(migrations ...Migration) (*Worker, error) {
	w := &Worker{migrations: make(map[string]Migration, len(migrations))}
	for _, m := range migrations {
		m, err := m.withDefaults()
		if err != nil {
			return nil, fmt.Errorf("worker of backfills: %w", err)
		}
		if _, twice := w.migrations[m.Pair.Name()]; twice {
			return nil, fmt.Errorf("worker of backfills: %s: it is named twice", m.Pair.Name())
		}
		w.migrations[m.Pair.Name()] = m
	}
	return w, nil
}

// Timeout is Migration.Timeout, for River.
func (w *Worker) Timeout(job *river.Job[Args]) time.Duration {
	return w.migrations[job.Args.Migration].Timeout // of one that is not known River's own
}

// Work works for a slice, for River. It returns nil when every row is done, river.JobSnooze when there is more to do, river.JobCancel of an error that trying again does not mend, and other errors as they are.
func (w *Worker) Work(ctx context.Context, job *river.Job[Args]) error {
	m, known := w.migrations[job.Args.Migration]
	if !known {
		return fmt.Errorf("backfill %s: this process does not know the pair: deploy one that does, with the pair among those of NewWorker", job.Args.Migration)
	}
	pause, done, err := m.slice(ctx, job)
	switch {
	case final(err):
		return river.JobCancel(err)
	case err != nil || done:
		return err
	}
	return river.JobSnooze(pause)
}

// slice works for Run.For. While the migration is paused it leaves the worker to other jobs, and says for how long.
func (m Migration) slice(ctx context.Context, job *river.Job[Args]) (pause time.Duration, done bool, err error) {
	asked, err := backfill.Asked(ctx, m.DB, m.Pair.Name())
	if err != nil {
		return 0, false, fmt.Errorf("backfill %s: %w", m.Pair.Name(), err)
	}
	if asked.Paused && !asked.Cancelled {
		return max(m.Run.For, minPause), false, nil
	}
	o := m.Run
	o.Reverse = job.Args.Reverse
	res, err := backfill.Run(ctx, m.DB, m.Pair, o)
	return 0, res.Done, errors.Join(err, record(ctx, job, res))
}

// record adds what a slice has done to the job's output.
func record(ctx context.Context, job *river.Job[Args], res backfill.Result) error {
	var out Output
	if before := job.Output(); before != nil {
		if err := json.Unmarshal(before, &out); err != nil {
			return fmt.Errorf("backfill %s: output: %w", job.Args.Migration, err)
		}
	}
	out.Rows, out.BadRows = out.Rows+res.Rows, res.BadRows
	return river.RecordOutput(ctx, out)
}
