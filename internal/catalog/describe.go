package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// Describe writes down what the catalog says of a table, as sorted lines of text: columns, indexes, constraints, foreign keys that point at it, triggers,
// policies, statistics objects, rules and views, publications, owned sequences, and for each of them its comment. What it leaves out is the
// position of a column, OIDs, and numbers that PostgreSQL keeps for itself (row estimates, file nodes). A partition has lines of its own, and so has a view.
//
// The table's schema is left out of the lines, so that equal tables of two schemas have equal lines. Two tables are compared in one
// database and by one session setting of search_path.
func Describe(ctx context.Context, q sqlx.QueryerContext, name ident.Table) ([]string, error) {
	t := Table{Table: name}
	err := sqlx.GetContext(ctx, q, &t.OID, `SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		name.Schema, name.Name)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoTable
	}
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", t, pg.Cause(ctx, err))
	}
	var version int
	if err := sqlx.GetContext(ctx, q, &version, `SELECT current_setting('server_version_num')::int`); err != nil {
		return nil, fmt.Errorf("describe %s: %w", t, pg.Cause(ctx, err))
	}
	var out []string
	for _, p := range properties {
		if version < p.since {
			continue
		}
		var lines []string
		if err := sqlx.SelectContext(ctx, q, &lines, p.sql, t.OID); err != nil {
			return nil, fmt.Errorf("describe %s: %s: %w", t, p.name, pg.Cause(ctx, err))
		}
		for _, line := range lines {
			out = append(out, p.name+" "+flatten(line, t.Schema))
		}
	}
	slices.Sort(out)
	return out, nil
}

// settableOptions are a column's options as text. Some builds of PostgreSQL keep options of their own on every column, with the system's prefix
// (pg_attver=76807160): they name a version of the catalog's row, differ between equal tables, and cannot be set.
const settableOptions = `(SELECT string_agg(x, ', ' ORDER BY x) FROM unnest(a.attoptions) x WHERE x NOT LIKE 'pg\_%')`

// flatten makes one line of a definition, without the schema's name.
func flatten(line, schema string) string {
	line = strings.Join(strings.Fields(line), " ")
	for _, quoted := range []string{ident.Quote(schema), `"` + strings.ReplaceAll(schema, `"`, `""`) + `"`} {
		for _, before := range []string{" ", "(", "'", ","} {
			line = strings.ReplaceAll(line, before+quoted+".", before)
		}
		line = strings.TrimPrefix(line, quoted+".")
	}
	return line
}

// property is one kind of line. The query's parameter is the OID of the table; concat_ws leaves out what is NULL.
type property struct {
	name  string
	since int // server_version_num
	sql   string
}

var properties = []property{
	{"table", 0, `
		SELECT concat_ws(' ', 'kind', relkind, 'persistence', relpersistence, 'owner ' || pg_get_userbyid(relowner), 'method ' || am.amname,
		       'replica identity', relreplident, CASE WHEN relrowsecurity THEN 'row security' END,
		       CASE WHEN relforcerowsecurity THEN 'forced' END, 'options ' || reloptions::text, 'partitioned by ' || pg_get_partkeydef(c.oid),
		       (SELECT 'of ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
		       pg_get_expr(c.relpartbound, c.oid), 'tablespace ' || ts.spcname, 'comment ' || quote_literal(obj_description(c.oid, 'pg_class')))
		FROM pg_class c LEFT JOIN pg_am am ON am.oid = relam LEFT JOIN pg_tablespace ts ON ts.oid = reltablespace WHERE c.oid = $1`},
	{"grant", 0, `
		SELECT x::text FROM pg_class c CROSS JOIN unnest(c.relacl) x WHERE c.oid = $1
		UNION ALL
		SELECT quote_ident(a.attname) || ' ' || x::text FROM pg_attribute a CROSS JOIN unnest(a.attacl) x
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`},
	{"column", 0, `
		SELECT concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
		       'collate ' || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
		       CASE WHEN a.attnotnull THEN 'not null' END, 'default ' || pg_get_expr(d.adbin, d.adrelid),
		       'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
		       'storage', a.attstorage, 'compression ' || nullif(a.attcompression::text, ''),
		       'statistics ' || nullif(a.attstattarget, -1), 'options ' || nullif(` + settableOptions + `, ''),
		       CASE WHEN NOT a.attislocal THEN 'inherited' END,
		       'comment ' || quote_literal(col_description(a.attrelid, a.attnum)))
		FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`},
	{"index", 0, `
		SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisprimary THEN 'primary' END,
		       CASE WHEN NOT i.indimmediate THEN 'deferred' END, CASE WHEN NOT i.indisvalid THEN 'invalid' END,
		       CASE WHEN NOT i.indisready THEN 'not ready' END, CASE WHEN i.indisclustered THEN 'clustered' END,
		       CASE WHEN i.indisreplident THEN 'replica identity' END, 'tablespace ' || ts.spcname,
		       (SELECT 'part of ' || inhparent::regclass::text FROM pg_inherits WHERE inhrelid = i.indexrelid),
		       (SELECT 'statistics ' || string_agg(a.attnum || '=' || a.attstattarget, ',' ORDER BY a.attnum) FROM pg_attribute a
		        WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0),
		       'comment ' || quote_literal(obj_description(i.indexrelid, 'pg_class')))
		FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_tablespace ts ON ts.oid = x.reltablespace WHERE i.indrelid = $1`},
	// from version 18 on NOT NULL is among them
	{"constraint", 0, `
		SELECT concat_ws(' ', quote_ident(k.conname), k.contype, pg_get_constraintdef(k.oid), 'index ' || nullif(k.conindid, 0)::regclass::text,
		       CASE WHEN NOT k.convalidated THEN 'not validated' END, CASE WHEN k.condeferrable THEN 'deferrable' END,
		       CASE WHEN k.condeferred THEN 'deferred' END, CASE WHEN k.connoinherit THEN 'no inherit' END,
		       CASE WHEN NOT k.conislocal THEN 'inherited' END, (SELECT 'part of ' || quote_ident(p.conname) FROM pg_constraint p WHERE p.oid = k.conparentid),
		       'comment ' || quote_literal(obj_description(k.oid, 'pg_constraint')))
		FROM pg_constraint k WHERE k.conrelid = $1`},
	{"referenced by", 0, `
		SELECT concat_ws(' ', k.conrelid::regclass, quote_ident(k.conname), pg_get_constraintdef(k.oid), 'index ' || k.conindid::regclass::text,
		       CASE WHEN NOT k.convalidated THEN 'not validated' END,
		       'comment ' || quote_literal(obj_description(k.oid, 'pg_constraint')))
		FROM pg_constraint k WHERE k.confrelid = $1 AND k.contype = 'f'`},
	{"trigger", 0, `
		SELECT concat_ws(' ', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled, 'comment ' || quote_literal(obj_description(t.oid, 'pg_trigger')))
		FROM pg_trigger t WHERE t.tgrelid = $1 AND NOT t.tgisinternal`},
	{"policy", 0, `
		SELECT concat_ws(' ', quote_ident(p.polname), 'for', p.polcmd, CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
		       'to ' || p.polroles::regrole[]::text, 'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid),
		       'comment ' || quote_literal(obj_description(p.oid, 'pg_policy')))
		FROM pg_policy p WHERE p.polrelid = $1`},
	{"statistics", 0, `
		SELECT concat_ws(' ', quote_ident(s.stxname), ` + statisticsBody + `, 'owner', pg_get_userbyid(s.stxowner), 'target ' || nullif(s.stxstattarget, -1),
		       'comment ' || quote_literal(obj_description(s.oid, 'pg_statistic_ext')))
		FROM pg_statistic_ext s WHERE s.stxrelid = $1`},
	// those of the table itself, and those of views and other tables that read it
	{"rule", 0, `
		SELECT DISTINCT concat_ws(' ', r.ev_class::regclass, CASE WHEN r.rulename = '_RETURN' THEN pg_get_viewdef(r.ev_class) ELSE pg_get_ruledef(r.oid) END,
		       'enabled ' || nullif(r.ev_enabled::text, 'O'), 'comment ' || quote_literal(obj_description(r.oid, 'pg_rewrite')))
		FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
		WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1`},
	{"publication", 150_000, `
		SELECT concat_ws(' ', quote_ident(p.pubname), (SELECT 'columns ' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)
		       FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])), 'where ' || pg_get_expr(r.prqual, r.prrelid),
		       'comment ' || quote_literal(obj_description(p.oid, 'pg_publication')))
		FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1`},
	{"sequence", 0, `
		SELECT concat_ws(' ', s.seqrelid::regclass, CASE d.deptype WHEN 'i' THEN 'identity of' ELSE 'owned by' END, quote_ident(a.attname),
		       format_type(s.seqtypid, NULL), 'start', s.seqstart, 'by', s.seqincrement, 'from', s.seqmin, 'to', s.seqmax, 'cache', s.seqcache,
		       CASE WHEN s.seqcycle THEN 'cycle' END)
		FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
		JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('a', 'i')`},
}
