package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// What belongs to a partition alone goes with its column, and no twin stands for it.
func TestDependentsOfPartitions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"none": {`CREATE INDEX ON part (age); ALTER TABLE part ADD CHECK (age > 0); CREATE VIEW v AS SELECT age FROM part; ALTER TABLE users ADD CHECK (user_name <> ''),
			ALTER user_name SET NOT NULL; CREATE POLICY p ON part USING (age > 0)`, nil},
		"index of the parent": {`CREATE INDEX i ON users (lower(user_name))`, []string{`index i`}},
		"unique constraint":   {`ALTER TABLE users ADD CONSTRAINT u UNIQUE (at, user_name)`, []string{`unique constraint u`}},
		"index":               {`CREATE INDEX i ON part (age) WHERE user_name <> ''`, []string{`index i of partition part`}},
		"index below":         {`CREATE INDEX i ON below (user_name)`, []string{`index i of partition below`}},
		"check":               {`ALTER TABLE part ADD CONSTRAINT c CHECK (user_name <> '')`, []string{`check c of partition part`}},
		"foreign key":         {`ALTER TABLE part ADD CONSTRAINT f FOREIGN KEY (user_name) REFERENCES other`, []string{`foreign key f of partition part`}},
		"foreign key to it": {`CREATE UNIQUE INDEX i ON part (user_name); CREATE TABLE child (name text CONSTRAINT f REFERENCES part (user_name))`,
			[]string{`foreign key f of child`, `index i of partition part`}},
		"not null":    {`ALTER TABLE part ALTER user_name SET NOT NULL`, []string{`NOT NULL user_name of partition part`}},
		"view":        {`CREATE VIEW v AS SELECT user_name FROM part`, []string{`view v`}},
		"trigger":     {`CREATE TRIGGER t BEFORE UPDATE OF user_name ON part FOR EACH ROW EXECUTE FUNCTION noop()`, []string{`trigger t of partition part`}},
		"policy":      {`CREATE POLICY p ON part USING (user_name <> '')`, []string{`policy p of partition part`}},
		"statistics":  {`CREATE STATISTICS s ON user_name, age FROM part`, []string{`statistics object s of partition part`}},
		"publication": {`CREATE PUBLICATION p FOR TABLE part (at, user_name)`, []string{`publication p of partition part`}},
		"replica identity": {`CREATE UNIQUE INDEX i ON part (user_name); ALTER TABLE part ALTER user_name SET NOT NULL, REPLICA IDENTITY USING INDEX i`,
			[]string{`NOT NULL user_name of partition part`, `index i of partition part`, `replica identity i`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.MustExec(`CREATE TABLE users (at int PRIMARY KEY, age int, user_name text, full_name text, full_name_stamp int) PARTITION BY RANGE (at);
				CREATE TABLE part PARTITION OF users FOR VALUES FROM (1) TO (2); CREATE TABLE branch (age int, full_name text, full_name_stamp int, user_name text, at int NOT NULL) PARTITION BY LIST (at);
				CREATE TABLE below PARTITION OF branch FOR VALUES IN (2); ALTER TABLE users ATTACH PARTITION branch FOR VALUES FROM (2) TO (3);
				CREATE TABLE other (name text PRIMARY KEY); CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
			db.MustExec(c.sql)
			d := usersPair()
			d.Key = []string{"at"}
			table, err := catalog.Read(t.Context(), db, d.Table)
			require.NoError(t, err)
			list, err := catalog.Dependents(t.Context(), db, table, d)
			require.NoError(t, err)
			var got []string
			for _, d := range list {
				require.True(t, d.Blocks && d.Remedy != "", d)
				got = append(got, d.Kind+" "+d.Name)
			}
			require.ElementsMatch(t, c.want, got)
		})
	}
}

// Once hands have made what the library cannot, it is no longer in the way.
func TestDependentsOfAPartitionedTableWithTwins(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE other (name text PRIMARY KEY); CREATE TABLE users (at int PRIMARY KEY, user_name text CONSTRAINT f REFERENCES other, full_name text) PARTITION BY RANGE (at);
		CREATE TABLE part PARTITION OF users FOR VALUES FROM (1) TO (2); CREATE INDEX i ON users (user_name)`)
	var version int
	require.NoError(t, db.Get(&version, `SELECT current_setting('server_version_num')::int`))
	d := usersPair()
	names := func() (out []string) {
		table, err := catalog.Read(t.Context(), db, d.Table)
		require.NoError(t, err)
		list, err := catalog.Dependents(t.Context(), db, table, d)
		require.NoError(t, err)
		for _, x := range list {
			require.Contains(t, x.Remedy, catalog.TwinName(d, x.Name))
			out = append(out, x.Kind)
		}
		return out
	}
	if version < 180000 {
		require.Equal(t, []string{"index", "foreign key"}, names())
	} else { // it takes NOT VALID
		require.Equal(t, []string{"index"}, names())
	}
	db.MustExec(`CREATE INDEX ` + catalog.TwinName(d, "i") + ` ON ONLY users (full_name); ALTER TABLE users ADD CONSTRAINT ` + catalog.TwinName(d, "f") + ` FOREIGN KEY (full_name) REFERENCES other`)
	require.Equal(t, []string{"index"}, names()) // not attached, so not valid
	db.MustExec(`CREATE INDEX x ON part (full_name); ALTER INDEX ` + catalog.TwinName(d, "i") + ` ATTACH PARTITION x`)
	require.Empty(t, names())
}
