package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// Keys are the primary key and the unique indexes that tell every row apart at every moment, the smallest first, the same on every server.
func TestKeys(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TABLE users (a int NOT NULL, b bigint NOT NULL, c uuid NOT NULL, d text NOT NULL, e int, l text COLLATE loose NOT NULL, user_name text);
		CREATE UNIQUE INDEX wide ON users (d); CREATE UNIQUE INDEX two ON users (a DESC, b); CREATE UNIQUE INDEX one ON users (b) INCLUDE (a); CREATE UNIQUE INDEX mid ON users (c);
		CREATE UNIQUE INDEX nullable ON users (e); CREATE UNIQUE INDEX partial ON users (a) WHERE a > 0; CREATE UNIQUE INDEX expr ON users ((a + 1)); CREATE UNIQUE INDEX bytes ON users (l COLLATE "C");
		CREATE UNIQUE INDEX pattern ON users (d text_pattern_ops); ALTER TABLE users ADD CONSTRAINT later UNIQUE (a) DEFERRABLE; CREATE INDEX plain ON users (a)`)
	read := func() (names []string, table *catalog.Table) {
		table, err := catalog.Read(t.Context(), db, usersPair().Table)
		require.NoError(t, err)
		for _, k := range table.Keys {
			names = append(names, k.Index)
		}
		return names, table
	}
	names, table := read()
	require.Equal(t, []string{"one", "mid", "wide", "two"}, names)
	require.Empty(t, table.PrimaryKey)
	two := table.KeyOf([]string{"b", "a"})
	require.Equal(t, []string{"a", "b"}, []string(two.Columns))
	require.Equal(t, []bool{true, false}, []bool(two.Desc))
	require.Nil(t, table.KeyOf([]string{"a"}))

	fits := func(key ...string) error {
		d := usersPair()
		d.Key = key
		_, table := read()
		return table.Fits(d)
	}
	for _, key := range [][]string{{"b"}, {"c"}, {"d"}, {"a", "b"}, {"b", "a"}} {
		require.NoError(t, fits(key...), key)
	}
	for _, key := range [][]string{{"a"}, {"e"}, {"l"}, {"a", "c"}} {
		require.ErrorIs(t, fits(key...), catalog.ErrKey, key)
		require.ErrorContains(t, fits(key...), "the smallest unique index of NOT NULL columns is (b): name it", key)
	}
	require.ErrorContains(t, fits(pair.NoKey), "declared with NoKey, and the smallest unique index")
	db.MustExec(`ALTER TABLE users ADD id text COLLATE loose PRIMARY KEY DEFAULT gen_random_uuid()::text`)
	names, _ = read()
	require.Equal(t, "users_pkey", names[0])
	require.ErrorContains(t, fits("a"), "the primary key is (id)")
	db.MustExec(`ALTER TABLE users DROP id, ALTER a DROP NOT NULL, ALTER b DROP NOT NULL, ALTER c DROP NOT NULL, ALTER d DROP NOT NULL`)
	names, _ = read()
	require.Empty(t, names)
	require.NoError(t, fits(pair.NoKey))
	require.ErrorContains(t, fits("a"), "declare the pair with expand.NoKey")
}
