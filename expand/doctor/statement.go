package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/lexer"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/query"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// spoken is SQL that somebody sends, or that a function has.
type spoken struct {
	Place string `db:"place"`
	Text  string `db:"text"`
}

const mostStatements = 5000 // that are looked at, those called most first

// {view} is pg_stat_statements in the schema where it is.
const statementsSQL = `
	SELECT format('role %s, %s calls', coalesce(r.rolname, 'unknown'), sum(s.calls)) AS place, s.query AS text
	FROM {view} s LEFT JOIN pg_roles r ON r.oid = s.userid
	WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND strpos(lower(s.query), lower($1)) > 0
	GROUP BY r.rolname, s.query ORDER BY sum(s.calls) DESC LIMIT $2`

const functionsSQL = `
	SELECT 'function ' || p.oid::regprocedure AS place, p.prosrc AS text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AND p.pronamespace <> ALL (array_remove(ARRAY[to_regnamespace('pg_catalog'), to_regnamespace('information_schema'), to_regnamespace('tandem')], NULL))
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') AND strpos(lower(p.prosrc), lower($1)) > 0 ORDER BY 1 LIMIT $2`

// statements finds in what was sent, and in function bodies, what depends on the table's columns.
func statements(ctx context.Context, db *sqlx.DB, p expand.Any) (out []switchover.Finding, err error) {
	d := p.Definition()
	old, err := named(ctx, db, d)
	if err != nil {
		return nil, err
	}
	var view *string
	err = db.GetContext(ctx, &view, `SELECT (SELECT format('%I.pg_stat_statements', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
		AND current_setting('pg_stat_statements.max', true) IS NOT NULL)`) // the setting is there where the library is loaded
	if err != nil {
		return nil, fmt.Errorf("pg_stat_statements: %w", pg.Cause(ctx, err))
	}
	texts := []string{functionsSQL}
	if view != nil {
		texts = append(texts, strings.ReplaceAll(statementsSQL, "{view}", *view))
	} else {
		out = append(out, switchover.Finding{Name: "unseen", Where: "this server", What: "it does not count statements: pg_stat_statements is not loaded, or not made here",
			Harm: "which statements depend on the table's columns was looked for in functions alone", Cure: "CREATE EXTENSION pg_stat_statements, or run tandemvet over the application's code"})
	}
	for _, text := range texts {
		var list []spoken
		if err := db.SelectContext(ctx, &list, text, d.Table.Name, mostStatements); err != nil {
			return nil, fmt.Errorf("statements: %w", pg.Cause(ctx, err))
		}
		for _, s := range list {
			out = append(out, s.findings(d, old)...)
		}
	}
	return out, nil
}

// named are the columns that nobody should name by now: those of old from Switch on, when the wrappers read new.
func named(ctx context.Context, db *sqlx.DB, d expand.Definition) (out []query.Column, err error) {
	m, err := state.Load(ctx, db, d.Name())
	switch {
	case errors.Is(err, state.ErrUnknown), errors.Is(err, state.ErrNoSchema), pg.SQLState(err) == pg.InsufficientPrivilege:
		return nil, nil // it has not begun, or this role may not know
	case err != nil:
		return nil, err
	case m.Phase < phase.Switch:
		return nil, nil
	}
	for _, c := range d.Old {
		out = append(out, query.Column{Table: query.Table{Schema: d.Table.Schema, Name: d.Table.Name}, Name: c})
	}
	return out, nil
}

// findings of one text, each once. What names the stamp is the wrappers', which write old as long as it is there.
func (s spoken) findings(d expand.Definition, old []query.Column) (out []switchover.Finding) {
	table := query.Table{Schema: d.Table.Schema, Name: d.Table.Name}
	tokens := lexer.Scan(s.Text)
	if mentions(tokens, d.Stamp) {
		return nil
	}
	seen := map[string]bool{}
	for _, at := range begins(tokens) {
		text := s.Text[at:]
		for _, f := range query.Examine(text, old) {
			says := f.Says(text[f.Start:f.End])
			key := fmt.Sprint(at+f.Start, says.Name)
			if seen[key] || !about(f, table) {
				continue
			}
			seen[key] = true
			out = append(out, switchover.Finding{Name: says.Name, Where: s.Place, What: says.What + ", in: " + short(text), Harm: says.Harm, Cure: says.Cure})
		}
	}
	return out
}

// about tells whether a finding is of the table for certain.
func about(f query.Finding, table query.Table) bool {
	for _, t := range f.Tables {
		if !t.Open && t.May(table) {
			return true
		}
	}
	return false
}

func mentions(tokens []lexer.Token, name string) bool {
	for _, t := range tokens {
		if (t.Kind == lexer.Name || t.Kind == lexer.Quoted) && t.Identifier() == name {
			return true
		}
	}
	return false
}

// begins are the places where a statement may begin: that of the text, and in a body those behind a semicolon or a word of PL/pgSQL.
func begins(tokens []lexer.Token) (out []int) {
	first := true
	for _, t := range tokens {
		switch {
		case t.Kind == lexer.Space || t.Kind == lexer.Comment:
			continue
		case first && query.Begins(t.Text+" "):
			out = append(out, t.Start)
		}
		first = t.Text == ";" || t.Kind == lexer.Name && before[strings.ToLower(t.Text)] || first && t.Text == "("
	}
	return out
}

var before = map[string]bool{"begin": true, "then": true, "else": true, "loop": true, "query": true, "in": true, "for": true, "as": true, "declare": true}

// short is the beginning of a statement, on one line.
func short(text string) string {
	const most = 120
	out := strings.Join(strings.Fields(text), " ")
	if r := []rune(out); len(r) > most {
		out = string(r[:most]) + "..."
	}
	return out
}
