package expand_test

import (
	"context"

	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var bio = expand.Move[string]("users", "bio", "profiles", "user_id")

const bioSQL = `CREATE TABLE users (id bigint PRIMARY KEY, bio text, email text); CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, avatar text)`

func TestMoveDeclarations(t *testing.T) {
	t.Parallel()
	require.NoError(t, bio.Err())
	require.Equal(t, "profiles.bio", bio.Name())
	same := func(s string) (string, error) { return s, nil }
	for says, s := range map[string]expand.Spec[string, string]{
		"needs ForwardSQL":                    {Table: "users", Old: "bio", To: "profiles", New: "bio", Forward: same},
		"the table that it is in":             {Table: "users", Old: "bio", To: "public.users", New: "about", Forward: same, ForwardSQL: "{bio}"},
		"set To":                              {Table: "users", Old: "bio", ToKey: []string{"user_id"}, New: "about", Forward: same, ForwardSQL: "{bio}"},
		"name as many columns":                {Table: "users", Old: "bio", To: "profiles", ToKey: []string{"a", "b"}, New: "bio", Forward: same, ForwardSQL: "{bio}"},
		"column user_id is both key and new":  {Table: "users", Old: "bio", To: "profiles", ToKey: []string{"user_id"}, New: "user_id", Forward: same, ForwardSQL: "{bio}"},
		"column id is both key and old":       {Table: "users", Old: "id", To: "profiles", ToKey: []string{"user_id"}, New: "bio", Forward: same, ForwardSQL: "{id}"},
		"more than schema and name":           {Table: "users", Old: "bio", To: "a.b.c", New: "bio", Forward: same, ForwardSQL: "{bio}"},
		"Forward is missing":                  {Table: "users", Old: "bio", To: "profiles", New: "bio", ForwardSQL: "{bio}"},
		"{about} is not one of bio":           {Table: "users", Old: "bio", To: "profiles", New: "about", Type: "text", Forward: same, ForwardSQL: "{about}"},
		`name "": empty`:                      {Table: "users", Old: "bio", To: "profiles", ToKey: []string{""}, New: "bio", Forward: same, ForwardSQL: "{bio}"},
		"needs the SQL type of new: set Type": {Table: "users", Old: "bio", To: "profiles", New: "bio", Forward: same, ForwardSQL: "upper({bio})"},
	} {
		require.ErrorContains(t, expand.Convert(s).Err(), says)
	}
}

// Bad input gets an error that names place and remedy, and changes nothing.
func TestMovePlanRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`
		CREATE TABLE users (id bigint PRIMARY KEY, bio text, email text);
		CREATE TABLE good (user_id bigint PRIMARY KEY, avatar text);
		CREATE TABLE keyless (user_id bigint);
		CREATE TABLE partly (user_id bigint, gone bool); CREATE UNIQUE INDEX ON partly (user_id) WHERE NOT gone;
		CREATE TABLE deferred (user_id bigint UNIQUE DEFERRABLE);
		CREATE TABLE narrow (user_id int PRIMARY KEY);
		CREATE TABLE strict (user_id bigint PRIMARY KEY, avatar text NOT NULL);
		CREATE TABLE lenient (user_id bigint UNIQUE, n serial, avatar text NOT NULL DEFAULT '', bio text);
		CREATE TABLE held (user_id bigint PRIMARY KEY REFERENCES users, avatar text);
		CREATE TABLE typed (user_id bigint PRIMARY KEY, bio int);
		CREATE TABLE filled (user_id bigint PRIMARY KEY, bio text); INSERT INTO filled VALUES (1, 'x');
		CREATE TABLE must (user_id bigint PRIMARY KEY, bio text NOT NULL);
		CREATE TABLE partitioned (user_id bigint PRIMARY KEY) PARTITION BY HASH (user_id);
		CREATE TABLE secured (user_id bigint PRIMARY KEY); ALTER TABLE secured FORCE ROW LEVEL SECURITY;
		CREATE TABLE parts (id bigint PRIMARY KEY, bio text) PARTITION BY HASH (id);
		CREATE VIEW looks AS SELECT * FROM good`)
	before := dump(t, db)
	move := expand.Move[string]
	for name, c := range map[string]struct {
		pair expand.Any
		is   error
		says string
	}{
		"no table":           {move("users", "bio", "nowhere"), expand.ErrNoTable, "nowhere"},
		"no table of old":    {move("nowhere", "bio", "good", "user_id"), expand.ErrNoTable, "nowhere"},
		"a view":             {move("users", "bio", "looks", "user_id"), expand.ErrRefused, "looks"},
		"no column":          {move("users", "bio", "good"), expand.ErrNoColumn, "it has user_id, avatar"},
		"no key":             {move("users", "bio", "keyless", "user_id"), expand.ErrKey, "unique index on (user_id)"},
		"a partial key":      {move("users", "bio", "partly", "user_id"), expand.ErrKey, "unique index on (user_id)"},
		"a deferrable key":   {move("users", "bio", "deferred", "user_id"), expand.ErrKey, "unique index on (user_id)"},
		"not the key":        {move("users", "bio", "good", "avatar"), expand.ErrKey, "it is text, and users.id is bigint"},
		"another type":       {move("users", "bio", "narrow", "user_id"), expand.ErrKey, "it is integer, and users.id is bigint"},
		"cannot be left out": {move("users", "bio", "strict", "user_id"), expand.ErrRefused, "give it a default"},
		"holds the row":      {move("users", "bio", "held", "user_id"), expand.ErrRefused, "make it ON DELETE CASCADE"},
		"type of new":        {move("users", "bio", "typed", "user_id"), expand.ErrType, "it is integer, the pair needs text"},
		"filled":             {move("users", "bio", "filled", "user_id"), expand.ErrRefused, "it holds values"},
		"new NOT NULL":       {move("users", "bio", "must", "user_id"), expand.ErrType, "plain nullable column"},
		"to partitions":      {move("users", "bio", "partitioned", "user_id"), expand.ErrRefused, "plain tables only"},
		"from partitions":    {move("parts", "bio", "good", "user_id"), expand.ErrRefused, "plain tables only"},
		"row security":       {move("users", "bio", "secured", "user_id"), expand.ErrRefused, "FORCE"},
		"no such function": {expand.Convert(expand.Spec[string, string]{Table: "users", Old: "bio", To: "good", ToKey: []string{"user_id"}, New: "bio", Type: "text",
			Forward: func(s string) (string, error) { return s, nil }, ForwardSQL: "nothing({bio})"}), nil, "nothing(text) does not exist"},
		"no such way back": {expand.Convert(expand.Spec[string, string]{Table: "users", Old: "bio", To: "good", ToKey: []string{"user_id"}, New: "bio", Type: "text",
			Forward: func(s string) (string, error) { return s, nil }, ForwardSQL: "{bio}", BackwardSQL: "nothing({bio})"}), nil, "nothing(text) does not exist"},
	} {
		_, err := expand.Plan(t.Context(), db, c.pair)
		require.Error(t, err, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
		}
		require.ErrorContains(t, err, c.says, name)
		require.Error(t, expand.Apply(t.Context(), db, c.pair, expand.Options{}), name)
	}
	require.Equal(t, before, dump(t, db))
	_, err := expand.Plan(t.Context(), db, move("users", "bio", "lenient", "user_id"))
	require.NoError(t, err)
	require.NoError(t, expand.Apply(t.Context(), db, move("users", "bio", "good", "user_id"), expand.Options{}))
	_, err = expand.Plan(t.Context(), db, move("users", "bio", "lenient", "user_id"))
	require.ErrorIs(t, err, switchover.ErrOverlap)
	_, err = expand.Plan(t.Context(), db, expand.Rename[string]("good", "bio", "about", "user_id"))
	require.ErrorIs(t, err, switchover.ErrOverlap)
	_, err = expand.Plan(t.Context(), db, move("users", "email", "good", "user_id"))
	require.NoError(t, err)
	_, err = expand.Plan(t.Context(), db, expand.Rename[string]("good", "avatar", "bio", "user_id"))
	require.ErrorIs(t, err, switchover.ErrRedeclare)
}

func TestMoveApplyAndUndo(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(bioSQL + `; INSERT INTO users VALUES (1, 'ada'), (2, 'bob'); INSERT INTO profiles VALUES (1, 'a')`)
	steps, err := expand.Plan(t.Context(), db, bio)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	require.Equal(t, "SHARE ROW EXCLUSIVE on users, ACCESS EXCLUSIVE on profiles", steps[0].Lock)
	require.Equal(t, "LOCK TABLE public.users IN SHARE ROW EXCLUSIVE MODE", steps[0].SQL[0])
	reader := db.MustBegin() // who reads the table of old is not waited for
	reader.MustExec(`SELECT FROM users`)
	require.NoError(t, expand.Apply(t.Context(), db, bio, expand.Options{}))
	require.NoError(t, reader.Rollback())
	applied := dump(t, db)
	require.NoError(t, expand.Apply(t.Context(), db, bio, expand.Options{}))
	require.Equal(t, applied, dump(t, db))
	steps, err = expand.Plan(t.Context(), db, bio)
	require.NoError(t, err)
	require.Empty(t, steps)
	_, err = db.Exec(`DELETE FROM tandem.migration`)
	require.Equal(t, "TD003", pg.SQLState(err), "%v", err)
	// a guard that somebody has taken away comes back
	db.MustExec(`DROP TRIGGER zz_tandem_bio_row ON profiles`)
	require.NoError(t, expand.Apply(t.Context(), db, bio, expand.Options{}))
	require.Equal(t, applied, dump(t, db))
	require.NoError(t, expand.Undo(t.Context(), db, bio, expand.Options{}))
	require.NoError(t, expand.Undo(t.Context(), db, bio, expand.Options{}))
	var left int
	require.NoError(t, db.Get(&left, `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz%') + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'guard %')
		+ (SELECT count(*) FROM information_schema.columns WHERE table_name = 'profiles' AND column_name LIKE 'bio%')`))
	require.Zero(t, left)
	require.NoError(t, expand.Apply(t.Context(), db, bio, expand.Options{}))
	require.Equal(t, applied, dump(t, db))
}

// As TestLostRow: whoever has lost the row is told, and Apply finds the phase by the guard.
func TestMoveLostRow(t *testing.T) {
	t.Parallel()
	for _, ph := range allPhases[:5] {
		b := newBed(t, bioSQL, bio)
		b.set(ph)
		r, err := expand.NewRepository[author](b.db, b.member, bio)
		require.NoError(t, err)
		row := author{ID: 1, Bio: "ada"}
		require.NoError(t, r.Insert(b.ctx, &row))
		b.lose()
		late, err := expand.NewRepository[author](b.db, b.join(), bio)
		require.NoError(t, err)
		_, err = late.Get(b.ctx, 1)
		require.ErrorIs(t, err, switchover.ErrLost)
		require.NoError(t, expand.Apply(b.ctx, b.db, bio, expand.Options{}))
		require.NoError(t, b.member.Refresh(b.ctx))
		want := switchover.Start
		if ph == switchover.Contract {
			want = ph
		}
		require.Equal(t, want, b.member.Phase(bio.Name()))
		got, err := r.Get(b.ctx, 1)
		require.NoError(t, err)
		require.Equal(t, row, got)
	}
}

type author struct {
	ID  int64  `db:"id"`
	Bio string `db:"bio"`
}

func TestMoveWithoutARow(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, bio text); INSERT INTO users VALUES (1, 'before'); CREATE TABLE profiles (user_id bigint PRIMARY KEY)`, bio)
	r, err := expand.NewRepository[author](b.db, b.member, bio)
	require.NoError(t, err)
	for _, ph := range allPhases[:5] { // never copied
		b.set(ph)
		got, err := r.Get(b.ctx, 1)
		require.NoError(t, err)
		require.Equal(t, "before", got.Bio, ph)
	}
	b.set(switchover.Complete)
	_, err = r.Get(b.ctx, 1)
	require.ErrorIs(t, err, expand.ErrNull)
	require.NoError(t, r.Update(b.ctx, &author{1, "after"}))
	got, err := r.Get(b.ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "after", got.Bio)
}

func TestMoveRefusesFragments(t *testing.T) {
	t.Parallel()
	b := newBed(t, bioSQL, bio)
	err := bio.Do(b.ctx, b.member, func(*expand.Pinned[string, string]) error { return nil })
	require.ErrorIs(t, err, expand.ErrTwoTables)
	_, err = bio.Pin(b.ctx, b.member)
	require.ErrorIs(t, err, expand.ErrTwoTables)
	r, err := expand.NewRepository[author](b.db, b.member, bio)
	require.NoError(t, err)
	require.ErrorContains(t, r.Upsert(b.ctx, &author{1, "x"}, "bio"), "moves to another table")
}

// holder has two pairs that move to one table, one that moves to another, and one that stays.
type holder struct {
	Shop  int     `db:"shop"`
	ID    string  `db:"id"`
	Name  string  `db:"name"`
	Bio   *string `db:"bio"`
	Cents int32   `db:"cents"`
	Data  []byte  `db:"data"`
	Email string  `db:"email" tandem:"default"`
}

var (
	accountName = expand.Rename[string]("accounts", "user_name", "name", "shop", "id")
	accountBio  = expand.Convert(expand.Spec[*string, *string]{Table: "accounts", Key: []string{"shop", "id"}, Old: "bio", To: "app.Info", ToKey: []string{"s", "holder"}, New: "bio",
		Forward: keep[*string], Backward: keep[*string], ForwardSQL: "{bio}", BackwardSQL: "{bio}"})
	accountCents = expand.Convert(expand.Spec[float64, int32]{Table: "accounts", Key: []string{"shop", "id"}, Old: "price", To: "app.Info", ToKey: []string{"s", "holder"}, New: "cents", Type: "integer",
		Forward: func(p float64) (int32, error) { return int32(p * 100), nil }, Backward: func(c int32) (float64, error) { return float64(c) / 100, nil },
		ForwardSQL: "round({price} * 100)", BackwardSQL: "{cents} / 100.0"})
	accountData = expand.Convert(expand.Spec[[]byte, []byte]{Table: "accounts", Key: []string{"shop", "id"}, Old: "data", To: "blobs", New: "data",
		Forward: keep[[]byte], Backward: keep[[]byte], ForwardSQL: "{data}", BackwardSQL: "{data}"})
	accountPairs = []expand.Any{accountName, accountBio, accountCents, accountData}
)

func keep[T any](v T) (T, error) { return v, nil }

const accountsSQL = `CREATE SCHEMA app;
	CREATE TABLE accounts (shop int, id text, user_name text, bio text, price float8, data bytea, email text DEFAULT 'none', PRIMARY KEY (shop, id));
	CREATE TABLE app."Info" (holder text, s int, id int DEFAULT 0, email text, UNIQUE (holder, s));
	CREATE TABLE blobs (shop int, id text, name text, PRIMARY KEY (id, shop), FOREIGN KEY (shop, id) REFERENCES accounts ON DELETE CASCADE)`

func TestMoveManyPairs(t *testing.T) {
	t.Parallel()
	for _, one := range allPhases {
		for _, two := range allPhases {
			t.Run(one.String()+" and "+two.String(), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, accountsSQL, accountPairs...)
				for i, p := range accountPairs {
					setPhase(t, b.db, p, []switchover.Phase{one, two, one, two}[i])
				}
				require.NoError(t, b.member.Refresh(b.ctx))
				r, err := expand.NewRepository[holder](b.db, b.member, accountPairs...)
				require.NoError(t, err)
				text := "text"
				a := holder{Shop: 1, ID: "a", Name: "ada", Bio: &text, Cents: 150, Data: []byte{0, 1, 255}}
				reads := func(want holder) {
					t.Helper()
					got, err := r.Get(b.ctx, 1, want.ID)
					require.NoError(t, err)
					require.Equal(t, want, got)
					list, err := r.Select(b.ctx, `WHERE {name} = $1 AND {bio} IS NOT DISTINCT FROM $2 AND {cents} = $3 AND {data} IS NOT DISTINCT FROM $4 AND id = $5 AND email <> '' ORDER BY {cents}`,
						accountName.Arg(want.Name), accountBio.Arg(want.Bio), accountCents.Arg(want.Cents), accountData.Arg(want.Data), want.ID)
					require.NoError(t, err)
					require.Equal(t, []holder{want}, list)
				}
				require.NoError(t, r.Insert(b.ctx, &a))
				require.Equal(t, "none", a.Email)
				reads(a)
				a.Bio, a.Cents, a.Data, a.Name = nil, 275, nil, "eve"
				require.NoError(t, r.Update(b.ctx, &a))
				reads(a)
				other := "other"
				a.Bio, a.Cents = &other, 300
				require.NoError(t, r.UpdateColumns(b.ctx, &a, "cents", "bio"))
				reads(a)
				a.Data, a.Email = []byte{}, "mail"
				require.NoError(t, r.UpdateColumns(b.ctx, &a, "data", "email"))
				reads(a)
				a.Cents, a.Name = 325, "fay"
				require.NoError(t, r.Upsert(b.ctx, &a))
				reads(a)
				rows := []*holder{{Shop: 1, ID: "b", Cents: 25, Bio: &text, Email: "b"}, {Shop: 1, ID: "c", Cents: 50, Data: []byte("c")}, {Shop: 2, ID: "a", Email: "d"}}
				require.NoError(t, r.InsertMany(b.ctx, rows))
				reads(*rows[0])
				reads(*rows[1])
				reads(a)
				require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
					return r.In(tx).InsertMany(ctx, []*holder{{Shop: 1, ID: "t1"}, {Shop: 1, ID: "t2"}})
				}))
				require.ErrorContains(t, r.InsertMany(b.ctx, []*holder{{Shop: 1, ID: "x"}, {Shop: 1, ID: "a"}}), "duplicate key")
				require.Equal(t, 6, b.count(`accounts`))
				require.NoError(t, r.Delete(b.ctx, 1, "a"))
				require.Zero(t, b.count(`blobs WHERE shop = 1 AND id = 'a'`))
				for i, p := range accountPairs[1:] {
					if d := p.Definition(); []switchover.Phase{two, one, two}[i] < switchover.Contract {
						require.Zero(t, b.count(`accounts t WHERE `+d.Unstamped()), "each row has its row")
					}
				}
			})
		}
	}
}
