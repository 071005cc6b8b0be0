package tandemriver_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func TestMain(m *testing.M) { pgtest.MainWithExamples(m) }

const (
	waitTime = 2 * time.Minute // for a machine that is busy
	pollTime = 5 * time.Millisecond
)

// The first converts inside the server, the second only in Go, and not every value.
var (
	fullName = expand.Rename[string]("users", "user_name", "full_name")
	odd      = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: func(s string) (string, error) {
		if strings.HasSuffix(s, "7") {
			return "", fmt.Errorf("%s is odd", s)
		}
		return s, nil
	}})
)

// usersSQL has two partitions of three pages.
const usersSQL = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text) PARTITION BY HASH (id);
	CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 1000) i;`

// oneStatement makes slices of one statement, half of a partition's rows. With stripes each partition is a range, however small it is.
var oneStatement = backfill.Options{For: time.Nanosecond, Batch: 1000, Stripes: 2, Target: 10e9}

// bed is a database with River's tables, and users with a pair in Migrate.
type bed struct {
	*testing.T
	ctx  context.Context
	dsn  string
	db   *sqlx.DB
	pair expand.Any
}

func newBed(t *testing.T, p expand.Any) *bed {
	t.Helper()
	return newBedOn(t, "", p)
}

// newBedOn is newBed on what the pair needs besides.
func newBedOn(t *testing.T, create string, p expand.Any) *bed {
	t.Helper()
	b := &bed{T: t, ctx: t.Context(), dsn: pgtest.CopyOn(t, pgtest.Server(t), "template0"), pair: p}
	b.db = pgtest.Open(t, b.dsn)
	installRiver(b.ctx, b, b.db)
	b.exec(usersSQL + create)
	require.NoError(b, expand.Apply(b.ctx, b.db, p, expand.Options{}))
	b.advance(switchover.Expand, switchover.Migrate)
	b.exec(`CREATE TABLE written (id bigint);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.written VALUES (NEW.id); RETURN NULL; END$$;
		CREATE TRIGGER note AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note()`)
	return b
}

func installRiver(ctx context.Context, t require.TestingT, db *sqlx.DB) {
	migrator, err := rivermigrate.New(riverdatabasesql.New(db.DB), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
}

func (b *bed) advance(to ...switchover.Phase) {
	b.Helper()
	for _, ph := range to {
		require.NoError(b, switchover.Advance(b.ctx, b.db, b.pair.Name(), ph, switchover.Options{Quiet: switchover.None, Soak: switchover.None}))
	}
}

func (b *bed) exec(query string, args ...any) {
	b.Helper()
	_, err := b.db.ExecContext(b.ctx, query, args...)
	require.NoError(b, err, query)
}

func (b *bed) number(query string, args ...any) (n int) {
	b.Helper()
	require.NoError(b, b.db.GetContext(b.ctx, &n, query, args...), query)
	return n
}

// config looks for jobs all the time, and works two at once.
func config(id string, w *tandemriver.Worker) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	return &river.Config{ID: id, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, TestOnly: true,
		FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

// client is one of the fleet, a process with a pool of its own for River, that works until the test ends.
func (b *bed) client(cfg *river.Config) *river.Client[*sql.Tx] {
	b.Helper()
	c, err := river.NewClient(riverdatabasesql.New(b.db.DB), cfg)
	require.NoError(b, err)
	require.NoError(b, c.Start(context.WithoutCancel(b.ctx)))
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), waitTime)
		defer cancel()
		require.NoError(b, c.StopAndCancel(ctx))
	})
	return c
}

func (b *bed) worker(o backfill.Options) *tandemriver.Worker {
	b.Helper()
	w, err := tandemriver.NewWorker(tandemriver.Migration{DB: b.db, Pair: b.pair, Run: o})
	require.NoError(b, err)
	return w
}

// inserter is a client that works nothing.
func (b *bed) inserter() *river.Client[*sql.Tx] {
	b.Helper()
	c, err := river.NewClient(riverdatabasesql.New(b.db.DB), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	return c
}

// enqueue inserts the jobs of the slots, all of them new.
func (b *bed) enqueue(slots int) []*rivertype.JobRow {
	b.Helper()
	results, err := tandemriver.Enqueue(b.ctx, b.inserter(), b.pair.Name(), tandemriver.EnqueueOptions{Slots: slots})
	require.NoError(b, err)
	require.Len(b, results, slots)
	jobs := make([]*rivertype.JobRow, slots)
	for i, r := range results {
		require.False(b, r.UniqueSkippedAsDuplicate)
		jobs[i] = r.Job
	}
	return jobs
}

// until waits for what is said of a job.
func (b *bed) until(job *rivertype.JobRow, so func(*rivertype.JobRow) bool) *rivertype.JobRow {
	b.Helper()
	inserter := b.inserter()
	var now *rivertype.JobRow
	met := assert.Eventually(b, func() bool {
		var err error
		now, err = inserter.JobGet(b.ctx, job.ID)
		return assert.NoError(b, err) && so(now)
	}, waitTime, pollTime)
	if !met && now != nil {
		require.Fail(b, "the job is not as it should be", "it is %s after %d attempts: %+v", now.State, now.Attempt, now.Errors)
	}
	return now
}

func (b *bed) is(job *rivertype.JobRow, state rivertype.JobState) *rivertype.JobRow {
	b.Helper()
	return b.until(job, func(now *rivertype.JobRow) bool { return now.State == state })
}

func (b *bed) fails(job *rivertype.JobRow) *rivertype.JobRow {
	b.Helper()
	return b.until(job, func(now *rivertype.JobRow) bool { return len(now.Errors) > 0 })
}

// copied wants each row done, and written once.
func (b *bed) copied() {
	b.Helper()
	require.Zero(b, b.number(`SELECT count(*) FROM users WHERE full_name IS DISTINCT FROM user_name OR full_name_stamp IS NULL`))
	require.Equal(b, 1000, b.number(`SELECT count(*) FROM written`))
	require.Zero(b, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`))
}

const stamped = `SELECT count(full_name_stamp) FROM users`
