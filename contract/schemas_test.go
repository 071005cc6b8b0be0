package contract_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pgtest"
)

var allOfSchemas = flag.Bool("schemas.all", false, "migrate all columns of the sample schemas, not one of six")

// sampled is one column of how many is migrated without -schemas.all. All are asked whether they can be.
const sampled = 6

// How a column of a sample schema may end. The reason stands behind it.
const (
	equal    = "equal"                  // the catalog is what RENAME COLUMN leaves
	remedied = "equal after the remedy" // the same, with the SQL that Check has given
	refused  = "refused"                // by the declaration, Plan or Check, before anything was touched
)

// Every column of two whole schemas is renamed by a migration of its own. Afterwards the catalog of the whole schema, as Describe and pg_dump show it, is what RENAME
// COLUMN leaves; or the column was refused before anything was touched, for a reason that is true. testdata says how each ends.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pagila", "chinook"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSampleSchema(t, name)
			t.Run("columns", func(t *testing.T) {
				for i, c := range s.columns {
					t.Run(c.String(), func(t *testing.T) { s.run(t, c, *allOfSchemas || i%sampled == 0) })
				}
			})
			s.report(t)
			if *update && *allOfSchemas && !t.Failed() {
				require.NoError(t, os.WriteFile("testdata/"+name+".txt", []byte(s.text()), 0o644))
			}
		})
	}
}

// sampleSchema is a schema of testdata. Its columns are renamed in databases of their own, but for the yardstick, which renames back.
type sampleSchema struct {
	template string
	columns  []sampleColumn
	want     string // an outcome a line
	before   snapshot
	busy     chan struct{} // bounds the migrations at a time

	mu        sync.Mutex
	yardstick *sqlx.DB
	dsn       string                  // of yardstick
	ended     map[sampleColumn]string // outcomes
}

type sampleColumn struct {
	Table string `db:"relname"`
	Name  string `db:"attname"`
}

func (c sampleColumn) String() string { return c.Table + "." + c.Name }

func newSampleSchema(t *testing.T, name string) *sampleSchema {
	t.Helper()
	create, err := os.ReadFile("testdata/" + name + ".sql")
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/" + name + ".txt")
	require.True(t, err == nil || *update, err)
	db, template := ownDatabase(t, pgtest.DSN(t))
	_, err = db.ExecContext(t.Context(), string(create))
	require.NoError(t, err)
	s := &sampleSchema{template: template, want: string(want), busy: make(chan struct{}, 3), ended: map[sampleColumn]string{}}
	require.NoError(t, db.SelectContext(t.Context(), &s.columns, `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 ORDER BY 1, a.attnum`))
	require.NoError(t, db.Close()) // a template has no connections
	s.dsn = pgtest.Copy(t, template)
	s.yardstick = pgtest.Open(t, s.dsn)
	s.before = takeSnapshot(t, s.yardstick, "")
	return s
}

// run notes how a column ends; one whose test fails went wrong. What is not to be migrated is asked all the same.
func (s *sampleSchema) run(t *testing.T, c sampleColumn, migrate bool) {
	t.Helper()
	t.Parallel()
	s.busy <- struct{}{}
	ended := "wrong"
	defer func() {
		<-s.busy
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended[c] = ended
	}()
	p := s.pair(t, c)
	list, outcome := s.ask(t, p)
	if !*update {
		require.Contains(t, "\n"+s.want, "\n"+c.String()+": "+outcome+"\n")
	}
	if !strings.HasPrefix(outcome, refused) {
		if !migrate {
			ended = "not migrated"
			return
		}
		s.migrate(t, p, list)
	}
	ended = outcome
}

// text is the outcomes, a line for each column.
func (s *sampleSchema) text() string {
	out := ""
	for _, c := range s.columns {
		out += c.String() + ": " + s.ended[c] + "\n"
	}
	return out
}

// report shows how many of each table ended how.
func (s *sampleSchema) report(t *testing.T) {
	t.Helper()
	count := map[string]map[string]int{"all": {}}
	for c, ended := range s.ended {
		if count[c.Table] == nil {
			count[c.Table] = map[string]int{}
		}
		count[c.Table][ended]++
		count["all"][ended]++
	}
	for _, table := range slices.Sorted(maps.Keys(count)) {
		sum, line := 0, ""
		for _, ended := range slices.Sorted(maps.Keys(count[table])) {
			sum += count[table][ended]
			line += fmt.Sprintf("; %d %s", count[table][ended], ended)
		}
		t.Logf("%-14s %d columns%s", table, sum, line)
	}
}

// pair renames a column to a name that has to be quoted.
func (s *sampleSchema) pair(t *testing.T, c sampleColumn) expand.Any {
	t.Helper()
	var key []string
	require.NoError(t, s.yardstick.SelectContext(t.Context(), &key, `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
		WHERE i.indrelid = to_regclass($1) AND i.indisprimary`, ident.Quote(c.Table)))
	return expand.Rename[*string](ident.Quote(c.Table), c.Name, "New "+c.Name, key...)
}

// ask asks the declaration, Plan and Check how the column will end.
func (s *sampleSchema) ask(t *testing.T, p expand.Any) (list []expand.Dependent, outcome string) {
	t.Helper()
	if err := p.Err(); err != nil {
		require.ErrorContains(t, err, "is both key and old")
		return nil, refused + " by the declaration: it is part of the primary key"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := expand.Plan(t.Context(), s.yardstick, p); err != nil {
		require.ErrorIs(t, err, expand.ErrRefused)
		require.ErrorIs(t, expand.Apply(t.Context(), s.yardstick, p, expand.Options{}), expand.ErrRefused)
		s.before.same(t, takeSnapshot(t, s.yardstick, ""))
		_, reason, _ := strings.Cut(err.Error(), expand.ErrRefused.Error()+": ")
		reason, _, _ = strings.Cut(reason, ", and ")
		return nil, refused + " by Plan: " + reason
	}
	list, err := contract.Check(t.Context(), s.yardstick, p)
	require.NoError(t, err)
	list = slices.DeleteFunc(list, func(d expand.Dependent) bool { return d.Kind == "function" }) // RENAME COLUMN does not mend its body either
	var kinds []string
	for _, d := range list {
		if d.Blocks {
			kinds = append(kinds, d.Kind)
			trueOf(t, s.yardstick, s.before, p, d)
		}
	}
	outcome = equal
	if len(kinds) > 0 {
		outcome = remedied
	}
	for _, d := range list {
		if d.Blocks && len(d.Fixes) == 0 {
			outcome = refused + " by Check"
		}
	}
	if len(kinds) > 0 {
		slices.Sort(kinds)
		outcome += ": " + strings.Join(slices.Compact(kinds), ", ")
	}
	return list, outcome
}

// trueOf wants the reason to be true: DROP COLUMN fails, or takes along what was named, or leaves a table that takes no write.
func trueOf(t *testing.T, db *sqlx.DB, before snapshot, p expand.Any, d expand.Dependent) {
	t.Helper()
	tx, err := db.BeginTxx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	table := p.Definition().Table.SQL()
	if _, err := tx.ExecContext(t.Context(), `ALTER TABLE `+table+` DROP COLUMN `+ident.Quote(p.Definition().Old[0])); err != nil {
		return
	}
	name, _, _ := strings.Cut(d.Name, " of partition ")
	lost := missing(before.lines, takeSnapshot(t, tx, "").lines)
	if slices.ContainsFunc(lost, func(line string) bool { return strings.Contains(line, " "+name+" ") }) {
		return
	}
	_, err = tx.ExecContext(t.Context(), `UPDATE `+table+` SET `+ident.Quote(p.Definition().Key[0])+` = `+ident.Quote(p.Definition().Key[0]))
	require.Error(t, err, "%s: nothing happened to it", d)
}

// renamed is what RENAME COLUMN leaves.
func (s *sampleSchema) renamed(t *testing.T, p expand.Any) snapshot {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	rename := func(from, to string) {
		_, err := s.yardstick.ExecContext(t.Context(), `ALTER TABLE `+p.Definition().Table.SQL()+` RENAME COLUMN `+ident.Quote(from)+` TO `+ident.Quote(to))
		require.NoError(t, err)
	}
	rename(p.Definition().Old[0], p.Definition().New[0])
	defer rename(p.Definition().New[0], p.Definition().Old[0])
	return takeSnapshot(t, s.yardstick, s.dsn)
}
