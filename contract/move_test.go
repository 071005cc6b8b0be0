package contract_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

var bio = expand.Move[string]("users", "bio", "profiles", "user_id")

// person is the model in its final shape.
type person struct {
	ID    int64  `db:"id" tandem:"default"`
	Email string `db:"email"`
	Bio   string `db:"bio"`
}

const peopleSQL = `
	CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL DEFAULT '' UNIQUE,
		bio text NOT NULL DEFAULT 'none' CONSTRAINT short CHECK (length(bio) < 100));
	CREATE INDEX users_bio ON users (bio);
	CREATE UNIQUE INDEX users_unique ON users (bio DESC);
	INSERT INTO users (bio, email) SELECT 'bio ' || i, i || '@example.org' FROM generate_series(1, 600) i;
	CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, avatar text, email text, id int);
	INSERT INTO profiles (user_id, avatar) SELECT i, 'avatar' FROM generate_series(1, 600, 3) i`

// mover takes profiles.bio through its phases.
type mover struct {
	*walker
	people *expand.Repository[person]
}

func newMover(t *testing.T) *mover {
	t.Helper()
	m := &mover{walker: newLonelyWalker(t, peopleSQL, bio)}
	m.member, m.people = m.enter(20 * time.Millisecond)
	return m
}

func (m *mover) enter(poll time.Duration) (*switchover.Member, *expand.Repository[person]) {
	m.Helper()
	member, err := switchover.Join(m.ctx, m.db, switchover.JoinOptions{Service: "test", Poll: poll})
	require.NoError(m, err)
	m.Cleanup(func() { _ = member.Leave(context.WithoutCancel(m.ctx)) })
	people, err := expand.NewRepository[person](m.db, member, m.pair)
	require.NoError(m, err)
	return member, people
}

// toSwitch waives what is to be made by hand: the check.
func (m *mover) toSwitch() {
	m.Helper()
	if m.number(`SELECT count(*) FROM tandem.migration WHERE phase = 'Start'`) > 0 {
		m.toMigrate()
	}
	require.NoError(m, expand.ApplyTwins(m.ctx, m.db, m.pair, expand.Options{}))
	report, err := backfill.Verify(m.ctx, m.db, m.pair, backfill.VerifyOptions{})
	require.NoError(m, err)
	require.Zero(m, report.Differences)
	o := quick
	o.Waive = map[string]string{"twins": "the check is not wanted there"}
	ctx, cancel := context.WithTimeout(m.ctx, waitTime)
	defer cancel()
	require.NoError(m, switchover.Advance(ctx, m.db, m.pair.Name(), switchover.Switch, o))
	m.refresh(switchover.Switch)
}

// use does with the wrappers all that they can do, in the present phase.
func (m *mover) use() {
	m.Helper()
	name := "in " + m.member.Phase(m.pair.Name()).String()
	p := person{Bio: name, Email: name}
	require.NoError(m, m.people.Insert(m.ctx, &p), name)
	require.NotZero(m, p.ID)
	m.reads(m.people, p)
	p.Bio += ", changed"
	p.Email += ", changed"
	require.NoError(m, m.people.Update(m.ctx, &p))
	m.reads(m.people, p)
	p.Bio += ", again"
	require.NoError(m, m.people.UpdateColumns(m.ctx, &p, "bio"))
	m.reads(m.people, p)
	p.Email += ", again"
	require.NoError(m, m.people.UpdateColumns(m.ctx, &p, "email"))
	m.reads(m.people, p)
	again := person{Email: p.Email, Bio: "upserted " + name}
	require.NoError(m, m.people.Upsert(m.ctx, &again, "email"))
	require.Equal(m, p.ID, again.ID)
	m.reads(m.people, again)
	other := person{Email: "another " + name, Bio: "upserted too " + name}
	require.NoError(m, m.people.Upsert(m.ctx, &other, "email"))
	m.reads(m.people, other)
	many := []*person{{Bio: "many 1 " + name, Email: "m1"}, {Bio: "many 2 " + name, Email: "m2"}}
	require.NoError(m, m.people.InsertMany(m.ctx, many))
	list, err := m.people.Select(m.ctx, `WHERE {bio} LIKE 'many%' AND email <> $2 AND {bio} <> $1 ORDER BY {bio}, id`, bio.Arg("x"), "y")
	require.NoError(m, err)
	require.Equal(m, []person{*many[0], *many[1]}, list)
	require.NoError(m, m.people.InTx(m.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		list, err := m.people.In(tx).Select(ctx, `WHERE {bio} = $1 FOR UPDATE OF users`, bio.Arg(many[0].Bio))
		require.NoError(m, err)
		require.Len(m, list, 1)
		return m.people.In(tx).Delete(ctx, many[0].ID)
	}))
	for _, id := range []int64{p.ID, other.ID, many[1].ID} {
		require.NoError(m, m.people.Delete(m.ctx, id))
	}
	require.ErrorIs(m, m.people.Update(m.ctx, &p), sql.ErrNoRows)
	require.ErrorIs(m, m.people.UpdateColumns(m.ctx, &p, "bio"), sql.ErrNoRows)
	require.Zero(m, m.number(`SELECT count(*) FROM profiles p WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = p.user_id)`))
}

// reads finds a person by key and by value.
func (m *mover) reads(people *expand.Repository[person], want person) {
	m.Helper()
	got, err := people.Get(m.ctx, want.ID)
	require.NoError(m, err)
	require.Equal(m, want, got)
	list, err := people.Select(m.ctx, `WHERE {bio} = $1`, bio.Arg(want.Bio))
	require.NoError(m, err)
	require.Equal(m, []person{want}, list)
}

func TestMoveToTheEnd(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	before := m.describe()
	m.use()
	m.advance(switchover.Expand)
	m.use()
	m.advance(switchover.Migrate)
	m.use()
	res, err := backfill.Run(m.ctx, m.db, bio, backfill.Options{})
	require.NoError(t, err)
	require.LessOrEqual(t, int64(500), res.Rows)
	m.toSwitch()
	m.use()
	m.apply(contract.Relax)
	m.use()
	m.advance(switchover.Contract)
	m.use()
	m.apply(contract.Finish)
	m.use()
	m.apply(contract.Drop)
	m.refresh(switchover.Complete)
	m.use()
	require.NoError(t, expand.Apply(m.ctx, m.db, bio, expand.Options{})) // does nothing
	require.Zero(t, m.number(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz%'`))
	require.Zero(t, m.number(`SELECT count(*) FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace AND proname LIKE 'guard %'`))
	require.Equal(t, 600, m.number(`SELECT count(*) FROM profiles WHERE bio = 'bio ' || user_id`))
	require.NotEqual(t, before, m.describe())
	var lines []string
	require.NoError(t, m.db.Select(&lines, `SELECT column_name || coalesce(' ' || column_default, '') FROM information_schema.columns WHERE table_name IN ('users', 'profiles') AND column_name LIKE 'bio%'
		UNION SELECT indexname FROM pg_indexes WHERE tablename IN ('users', 'profiles') ORDER BY 1`))
	require.Equal(t, []string{"bio 'none'::text", "profiles_pkey", "users_bio", "users_email_key", "users_pkey", "users_unique"}, lines)
}

func TestMoveThereAndBack(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	before := m.describe()
	m.toSwitch()
	m.apply(contract.Relax)
	m.advance(switchover.Contract)
	changed := person{ID: 7, Email: "7@example.org", Bio: "changed in Contract"}
	require.NoError(t, m.people.Update(m.ctx, &changed))
	m.apply(contract.Finish)
	m.revert(switchover.Switch)
	m.use()
	m.reads(m.people, changed)
	require.ErrorIs(t, contract.Apply(m.ctx, m.db, bio, contract.Restore, contract.Options{}), contract.ErrUnreversed)
	m.reverse()
	m.apply(contract.Restore)
	m.use()
	m.revert(switchover.Migrate)
	m.use()
	m.revert(switchover.Expand)
	m.revert(switchover.Start)
	m.use()
	m.reads(m.people, changed)
	require.Equal(t, before, m.describe())
	require.NoError(t, expand.Undo(m.ctx, m.db, bio, expand.Options{}))
	m.use()
	require.Zero(t, m.number(`SELECT count(*) FROM information_schema.columns WHERE table_name = 'profiles' AND column_name LIKE 'bio%'`))
	m.exec(`INSERT INTO users (email) VALUES ('only')`)
	require.Equal(t, 1, m.number(`SELECT count(*) FROM users WHERE bio = 'none'`))
}

// A member that has never heard of a later phase reads rightly in all of them, and what it writes is right or refused and then tried again.
func TestMoveLateMembers(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	var late []*expand.Repository[person]
	enter := func() {
		_, people := m.enter(time.Hour)
		late = append(late, people)
	}
	n := 0
	all := func(write bool) {
		for i, people := range late {
			n++
			want := person{ID: int64(n%5) + 1, Email: fmt.Sprintf("%d@example.org", n), Bio: fmt.Sprintf("%s by %d, %d", m.member.Phase(bio.Name()), i, n)}
			writer := m.people
			if write {
				writer = people
			}
			require.NoError(t, writer.Update(m.ctx, &want), want.Bio)
			for _, reader := range append(late, m.people) {
				got, err := reader.Get(m.ctx, want.ID)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
	}
	enter()
	m.exec(`UPDATE users SET email = 'x' || id`)
	steps := []func(){
		func() { m.advance(switchover.Expand) }, m.toMigrateOnly, m.toSwitch,
		func() { m.apply(contract.Relax); m.forced(switchover.Contract) },
	}
	for i, step := range steps {
		if i > 0 {
			enter()
		}
		m.forget()
		step()
		all(false)
		all(i == len(steps)-1)
	}
	// those of Contract on the way back
	late = nil
	enter()
	require.NoError(t, switchover.Revert(m.ctx, m.db, bio.Name(), switchover.Switch, quick))
	require.NoError(t, m.member.Refresh(m.ctx))
	all(false)
	all(true)
}

// forget makes the gates not wait for members that do not poll.
func (m *mover) forget() { m.exec(`DELETE FROM tandem.member WHERE id <> $1`, m.member.ID()) }

func (m *mover) toMigrateOnly() {
	m.forced(switchover.Migrate)
	_, err := backfill.Run(m.ctx, m.db, m.pair, backfill.Options{})
	require.NoError(m, err)
}

func (m *mover) forced(to switchover.Phase) {
	m.Helper()
	o := quick
	o.Waive = map[string]string{"members": "test"}
	require.NoError(m, switchover.Advance(m.ctx, m.db, m.pair.Name(), to, o))
	m.refresh(to)
}

// Wrappers, old binaries and programs that know only the other table write while the migration goes from Start to Complete. Nobody's last write is lost, and who reads by
// the wrappers after his write finds it.
func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	ctx, stop := context.WithCancel(m.ctx)
	defer stop()
	var wg sync.WaitGroup
	const writers = 4
	last := make([]map[int64]string, writers)
	errs := make([]error, writers+1)
	writes := make([]atomic.Int64, writers)
	worked := func() { // steps of a migration are minutes apart: no operation sees two of them
		t.Helper()
		for n := range writes {
			seen := writes[n].Load()
			require.Eventually(t, func() bool { return writes[n].Load() > seen+2 || ctx.Err() != nil }, waitTime, time.Millisecond)
		}
	}
	old := true // whether old binaries may run; they are stopped before Relax
	var running sync.RWMutex
	for n := range writers {
		last[n] = map[int64]string{}
		wg.Go(func() {
			for turn := 0; ctx.Err() == nil && errs[n] == nil; turn++ {
				id := int64(turn*writers%600 + n + 1)
				text := fmt.Sprintf("turn %d of %d", turn, n)
				running.RLock()
				stray := n == 0 && old
				if stray {
					_, errs[n] = m.db.ExecContext(m.ctx, `UPDATE users SET bio = $1 WHERE id = $2`, text, id)
				} else {
					errs[n] = m.people.UpdateColumns(m.ctx, &person{ID: id, Bio: text}, "bio")
				}
				running.RUnlock()
				if errs[n] != nil {
					break
				}
				last[n][id] = text
				writes[n].Add(1)
				got, err := m.people.Get(m.ctx, id)
				if err == nil && got.Bio != text {
					err = fmt.Errorf("user %d reads %q after %q was written", id, got.Bio, text)
				}
				errs[n] = err
			}
			stop()
		})
	}
	wg.Go(func() { // profiles come and go
		for turn := 1; ctx.Err() == nil && errs[writers] == nil; turn++ {
			_, err := m.db.ExecContext(m.ctx, `INSERT INTO profiles (user_id, avatar) VALUES ($1, 'x') ON CONFLICT (user_id) DO UPDATE SET avatar = EXCLUDED.avatar`, turn*7%600+1)
			errs[writers] = err
		}
	})
	worked()
	m.advance(switchover.Expand)
	worked()
	m.toMigrateOnly()
	m.toSwitch()
	worked()
	running.Lock()
	old = false
	running.Unlock()
	m.apply(contract.Relax)
	m.advance(switchover.Contract)
	_, err := m.db.Exec(`UPDATE users SET bio = 'old binary' WHERE id = 1`)
	require.Equal(t, pg.StaleStamp, pg.SQLState(err), "%v", err)
	m.apply(contract.Finish)
	worked()
	m.apply(contract.Drop)
	m.refresh(switchover.Complete)
	worked()
	stop()
	wg.Wait()
	for i, err := range errs {
		require.NoError(t, err, i)
	}
	for n := range writers {
		for id, text := range last[n] {
			require.Equal(t, []string{text}, m.texts(`SELECT bio FROM profiles WHERE user_id = $1`, id))
		}
	}
}

func (m *mover) texts(query string, args ...any) (out []string) {
	m.Helper()
	require.NoError(m, m.db.SelectContext(m.ctx, &out, query, args...))
	return out
}
