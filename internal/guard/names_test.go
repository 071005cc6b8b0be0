package guard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// Names that text made without quoting would break.
func TestNames(t *testing.T) {
	t.Parallel()
	long := "x" + strings.Repeat("ü", 31) // 63 bytes
	for name, n := range map[string]struct{ schema, table, key, old, new string }{
		"capitals":      {"App", "Users", "ID", "userName", "fullName"},
		"quotes":        {`a"b`, `it's "x"`, `k'`, `o"o`, `n'n"n`},
		"dots":          {"a.b", "c.d", "e.f", "g.h", "i.j"},
		"keywords":      {"select", "table", "user", "old", "new"},
		"dollars":       {"$tandem$", "x$tandem$", "$tandem1$", "END $tandem$;", "$$"},
		"backslashes":   {`a\b`, `c\'d`, `e\`, `\n`, `\\`},
		"braces":        {"{a}", "%s", "%I", "{", "a}b"},
		"formats":       {"{a}", "%s", "%I", "100%", "$1"},
		"spaces":        {" ", "a b", "--", "/*", "a\nb"},
		"63 bytes":      {long, long, long, "o" + long[1:], "n" + long[1:]},
		"plpgsql words": {"begin", "declare", "tg_op", "old_changed", "new_changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pair.Definition{Table: ident.Table{Schema: n.schema, Name: n.table}, Key: []string{n.key}, Old: []string{n.old}, New: []string{n.new},
				Stamp: pair.StampName(n.new), Forward: []string{fragment.Placeholder(n.old)}, Backward: []string{fragment.Placeholder(n.new)}}
			fill := strings.NewReplacer("@schema", ident.Quote(n.schema), "@table", d.Table.SQL(), "@key", ident.Quote(n.key),
				"@old", ident.Quote(n.old), "@new", ident.Quote(n.new), "@stamp", ident.Quote(d.Stamp)).Replace
			b := newBed(t, fill(`CREATE SCHEMA @schema; CREATE TABLE @table (@key int PRIMARY KEY, @old text DEFAULT 'd', @new text, @stamp int)`), d, guard.Repair)
			stamped := fill(`INSERT INTO @table VALUES (1, 'x', 'x', 33554433); UPDATE @table SET `)
			b.run(t, []deed{
				{name: "insert old", sql: fill(`INSERT INTO @table (@key, @old) VALUES (1, 'x')`), rows: []string{"1|x|x|2"}, stray: "insert"},
				{name: "insert new", sql: fill(`INSERT INTO @table (@key, @new) VALUES (1, 'x')`), rows: []string{"1|x|x|2"}, stray: "insert"},
				{name: "update old", sql: stamped + fill(`@old = 'y'`), rows: []string{"1|y|y|2"}, stray: "update"},
				{name: "update new", sql: stamped + fill(`@new = 'y'`), rows: []string{"1|y|y|2"}, stray: "update"},
			})
			b.install(t, guard.Reject)
			b.fails(t, "TD001", fill(`INSERT INTO @table (@key, @old) VALUES (1, 'x')`))
			for _, sql := range guard.Remove(d) {
				b.db.MustExec(sql)
			}
			require.Equal(t, []string{}, list(t, b.db, `SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass($1)`, d.Table.SQL()))
			require.Empty(t, list(t, b.db, `SELECT proname FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace AND proname LIKE 'guard %'`))
		})
	}
}

// Two tables whose names are the same where PostgreSQL cuts them have guards of their own.
func TestLongNamesDoNotMeet(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t", 62)
	var beds []bed
	for i, end := range []string{"1", "2"} {
		d := rename()
		d.Table.Name = long + end
		create := strings.ReplaceAll(usersSQL, "users", d.Table.Name)
		if i == 0 {
			beds = append(beds, newBed(t, create, d, guard.Repair))
			continue
		}
		beds[0].db.MustExec(create)
		beds = append(beds, bed{db: beds[0].db, def: d})
		beds[1].install(t, guard.Reject)
	}
	beds[0].db.MustExec(`UPDATE ` + long + `1 SET user_name = 'eve' WHERE id = 1`)
	beds[1].fails(t, "TD001", `UPDATE `+long+`2 SET user_name = 'eve' WHERE id = 1`)
	beds[1].install(t, guard.Repair)
	beds[0].db.MustExec(`UPDATE ` + long + `2 SET user_name = 'fay' WHERE id = 1`)
	require.Equal(t, []string{"1|eve|eve|2", bob}, beds[0].rows(t, beds[0].db))
	require.Equal(t, []string{"1|fay|fay|2", bob}, beds[1].rows(t, beds[1].db))
}
