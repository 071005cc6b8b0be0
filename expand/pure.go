package expand

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// errMutable is what PostgreSQL says of a generation expression that is not immutable.
const errMutable = "42P17"

// checkPure refuses expressions that depend on more than the row's value: on the time, the session's settings, chance, or other rows. PostgreSQL asks the same of a
// generated column's expression, so it is asked to make one, of a temporary table.
func checkPure(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	if d.Identity() || !d.HasForward() && !d.HasBackward() {
		return nil
	}
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, sql := range []string{`CREATE TEMPORARY TABLE tandem_parse (` + columnsSQL(t, d) + `) ON COMMIT DROP`, guardPath} {
			if _, err := tx.ExecContext(ctx, sql); err != nil {
				return err
			}
		}
		for word, exprs := range map[string][]string{"forward": d.ForwardSQL(""), "backward": d.BackwardSQL("")} {
			for _, e := range exprs {
				if err := pure(ctx, tx, e); err != nil {
					return fmt.Errorf("%s expression %s: %w", word, e, err)
				}
			}
		}
		return errParsed
	})
	if errors.Is(err, errParsed) {
		return nil
	}
	return err
}

// columnsSQL are the pair's columns with their types, as CREATE TABLE takes them.
func columnsSQL(t *catalog.Table, d pair.Definition) string {
	var out []string
	for _, name := range d.Old {
		out = append(out, ident.Quote(name)+" "+t.Column(name).TypeSQL())
	}
	for i, name := range d.New {
		out = append(out, ident.Quote(name)+" "+newTypeSQL(t, d, i))
	}
	return strings.Join(out, ", ")
}

// newTypeSQL is the type that a new column has or gets.
func newTypeSQL(t *catalog.Table, d pair.Definition, i int) string {
	if d.Types != nil {
		return d.Types[i]
	}
	return t.Column(d.Old[min(i, len(d.Old)-1)]).TypeSQL()
}

func pure(ctx context.Context, tx *sqlx.Tx, e string) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT tandem_pure`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_pure (LIKE pg_temp.tandem_parse, tandem_is boolean GENERATED ALWAYS AS ((`+e+`) IS NULL) STORED)`)
	if _, lost := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_pure`); lost != nil {
		return errors.Join(err, lost)
	}
	switch pg.SQLState(err) {
	case "":
		return err
	case errMutable:
		return mutable(ctx, tx, e)
	case "0A000", "42803", "42P20": // a sub-select, a set; an aggregate; a window
		return fmt.Errorf("%w: it must depend on the row's value alone: %w", ErrConversion, err)
	}
	return err
}

// mutableSQL names what an expression depends on: functions that are not IMMUTABLE, the time, and where a value goes by way of its text (a cast, concat, to_jsonb) the types
// whose text depends on settings, such as date. The text of an enum or an array is not IMMUTABLE either, for labels can be added: it is as good as, and so is convert_to.
// PostgreSQL knows all that of a view's tree; numbers are found there by the names of their fields. Constants are lists of bytes, so nothing else looks like one.
const mutableSQL = `
	WITH RECURSIVE tree AS (SELECT ev_action::text AS text FROM pg_rewrite WHERE ev_class = 'pg_temp.tandem_tree'::regclass),
	function AS (
		SELECT oid, proname = ANY ('{concat,concat_ws,format,array_to_string,to_json,to_jsonb,json_build_object,jsonb_build_object,json_build_array,jsonb_build_array,
			row_to_json,array_to_json,quote_literal,quote_nullable,convert_to,convert_from}') AND pronamespace = 'pg_catalog'::regnamespace AS by_text, provolatile
		FROM pg_proc WHERE provolatile <> 'i' AND oid IN (SELECT m[1]::oid FROM tree, regexp_matches(text, ':(?:funcid|opfuncid) (\d+)', 'g') m)),
	converted AS (SELECT FROM tree WHERE text ~ '\{COERCEVIAIO' UNION ALL SELECT FROM function WHERE by_text),
	type AS (
		SELECT t.oid FROM tree, pg_type t WHERE EXISTS (SELECT FROM converted) AND t.oid IN (SELECT m[1]::oid FROM regexp_matches(text,
			':(?:vartype|consttype|funcresulttype|opresulttype|resulttype|casetype|coalescetype|minmaxtype|array_typeid|row_typeid) (\d+)', 'g') m)
		UNION SELECT part FROM type JOIN pg_type t USING (oid), LATERAL (
			SELECT unnest(ARRAY[t.typbasetype, t.typelem]) AS part UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
			UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid) x WHERE part <> 0),
	reason AS (
		SELECT 'function ' || oid::regprocedure || ' is ' || CASE provolatile WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS why FROM function WHERE NOT by_text
		UNION ALL SELECT 'it names the time or the user' FROM tree WHERE text ~ '\{SQLVALUEFUNCTION'
		UNION ALL SELECT 'the text of type ' || format_type(t.oid, NULL) || ' depends on settings' FROM type JOIN pg_type t USING (oid)
		WHERE t.typtype = 'b' AND t.typcategory <> 'A' AND EXISTS (SELECT FROM pg_proc WHERE oid IN (t.typinput, t.typoutput) AND provolatile <> 'i'))
	SELECT why FROM reason UNION ALL SELECT 'PostgreSQL does not call it IMMUTABLE' WHERE NOT EXISTS (SELECT FROM reason) AND NOT EXISTS (SELECT FROM converted)`

// mutable says why PostgreSQL does not call an expression immutable; nil where that is for enums and the like alone.
func mutable(ctx context.Context, tx *sqlx.Tx, e string) error {
	if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY VIEW tandem_tree AS SELECT `+e+` AS it FROM pg_temp.tandem_parse`); err != nil {
		return err
	}
	var why []string
	if err := tx.SelectContext(ctx, &why, mutableSQL); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DROP VIEW pg_temp.tandem_tree`); err != nil || len(why) == 0 {
		return err
	}
	return fmt.Errorf("%w: it must depend on the row's value alone, in every session and at any time, and %s: write a time zone into it ({a} AT TIME ZONE 'Europe/Berlin'), "+
		"take another function, or one of your own, marked IMMUTABLE, that sets what it depends on (SET DateStyle = ISO)", ErrConversion, strings.Join(why, ", "))
}
