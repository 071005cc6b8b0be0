package catalog

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// actOf are the kinds of dependents that can be told a fix; nil where this one cannot.
var actOf = map[string]func(ctx context.Context, r *rehearsal, x Dependent) (*act, error){
	"view": viewAct, "materialized view": materializedAct, "rule": ruleAct, "policy": policyAct, "trigger": triggerAct, "generated column": generatedAct,
	"exclusion constraint": exclusionAct, "unique constraint": exclusionAct, "foreign key": foreignKeyAct, "replica identity": identityAct,
	"publication": publicationAct, "function": functionAct, "index": partitionedIndexAct,
}

func inSwitch(sql ...string) []Fix { return []Fix{{phase.Switch, together(sql...)}} }

// together is one transaction.
func together(sql ...string) string {
	if len(sql) == 1 {
		return sql[0]
	}
	return "BEGIN; " + strings.Join(sql, "; ") + "; COMMIT"
}

// temporary is the name of a dependent's like.
func (d Dependent) temporary() string { return fmt.Sprintf(`"tandem %d"`, d.OID) }

func (r *rehearsal) get(ctx context.Context, into any, query string, args ...any) error {
	return r.tx.GetContext(ctx, into, query, args...)
}

// A view's definition is its rule _RETURN. Another rule of it that names the column is left to hands, and so is a join that has old in its USING: there PostgreSQL counts columns by place, and new
// has another than old.
const viewSQL = `
	SELECT format('%I.%I', n.nspname, c.relname) AS name, rtrim(pg_get_viewdef(c.oid), ';') AS body, coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS options
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
	      WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $2 AND d.refobjsubid = ANY ($3))`

var usingList = regexp.MustCompile(` USING \(([^)]*)\)`)

type view struct{ Name, Body, Options string }

func (r *rehearsal) view(ctx context.Context, x Dependent, fixes func(v view, body string) []Fix) (*act, error) {
	var found []view
	if err := r.tx.SelectContext(ctx, &found, viewSQL, x.OID, r.t.OID, pq.Array(r.t.numbers(r.d.Old))); err != nil || len(found) == 0 {
		return nil, err
	}
	for _, using := range usingList.FindAllStringSubmatch(found[0].Body, -1) {
		if slices.Contains(strings.Split(using[1], ", "), ident.Quote(r.d.Old[0])) {
			return nil, nil //nolint:nilnil // it cannot be told
		}
	}
	return &act{make: `CREATE TEMPORARY VIEW ` + x.temporary() + ` AS ` + found[0].Body, read: `SELECT rtrim(pg_get_viewdef('pg_temp.` + x.temporary() + `'::regclass), ';')`,
		fixes: func(text []string) []Fix { return fixes(found[0], text[0]) }}, nil
}

func viewAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	return r.view(ctx, x, func(v view, body string) []Fix {
		return inSwitch("CREATE OR REPLACE VIEW " + v.Name + v.Options + " AS" + body)
	})
}

func ruleAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var rule struct {
		Name, Body string
		Own        bool
	}
	if err := r.get(ctx, &rule, `SELECT rulename AS name, rtrim(pg_get_ruledef(oid), ';') AS body, ev_class = $2 AS own FROM pg_rewrite WHERE oid = $1`, x.OID, r.t.OID); err != nil || !rule.Own {
		return nil, err
	}
	return &act{make: rule.Body, read: `SELECT rtrim(pg_get_ruledef(oid), ';') FROM pg_rewrite WHERE ev_class = '` + copyName + `'::regclass AND rulename = ` + ident.Literal(rule.Name),
		fixes: func(text []string) []Fix {
			return inSwitch("CREATE OR REPLACE RULE " + strings.TrimPrefix(text[0], "CREATE RULE "))
		}}, nil
}

func policyAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	const parts = `coalesce(' USING (' || pg_get_expr(polqual, polrelid) || ')', '') || coalesce(' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')', '')`
	var p struct{ Name, Body string }
	if err := r.get(ctx, &p, `SELECT quote_ident(polname) AS name, `+parts+` AS body FROM pg_policy WHERE oid = $1`, x.OID); err != nil {
		return nil, err
	}
	return &act{make: `CREATE POLICY ` + p.Name + ` ON ` + r.t.SQL() + p.Body,
		read:  `SELECT ` + parts + ` FROM pg_policy WHERE polrelid = '` + copyName + `'::regclass AND quote_ident(polname) = ` + ident.Literal(p.Name),
		fixes: func(text []string) []Fix { return inSwitch("ALTER POLICY " + p.Name + " ON " + r.t.SQL() + text[0]) }}, nil
}

func triggerAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var g struct {
		Name, Body, Enabled, Comment string
		Constraint                   bool
	}
	err := r.get(ctx, &g, `SELECT quote_ident(tgname) AS name, pg_get_triggerdef(oid) AS body, tgconstraint <> 0 AS constraint, tgenabled::text AS enabled,
		coalesce(obj_description(oid, 'pg_trigger'), '') AS comment FROM pg_trigger WHERE oid = $1`, x.OID)
	if err != nil {
		return nil, err
	}
	drop := "DROP TRIGGER " + g.Name + " ON " + r.t.SQL()
	var after []string
	if word := map[string]string{"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}[g.Enabled]; word != "" {
		after = append(after, "ALTER TABLE "+r.t.SQL()+" "+word+" TRIGGER "+g.Name)
	}
	if g.Comment != "" {
		after = append(after, "COMMENT ON TRIGGER "+g.Name+" ON "+r.t.SQL()+" IS "+ident.Literal(g.Comment))
	}
	return &act{make: g.Body, read: `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = '` + copyName + `'::regclass AND quote_ident(tgname) = ` + ident.Literal(g.Name),
		fixes: func(text []string) []Fix {
			create := append([]string{text[0]}, after...)
			switch {
			case x.sets():
				return []Fix{{phase.Start, drop}, {phase.Complete, together(create...)}}
			case g.Constraint:
				return inSwitch(append([]string{drop}, create...)...)
			}
			create[0] = "CREATE OR REPLACE TRIGGER " + strings.TrimPrefix(text[0], "CREATE TRIGGER ")
			return inSwitch(create...)
		}}, nil
}

// bare: nothing would be lost with the column but its expression, which PostgreSQL changes in place from version 17 on.
const generatedSQL = `
	SELECT quote_ident(a.attname) AS name, format_type(a.atttypid, a.atttypmod) AS type, current_setting('server_version_num')::int >= 170000 AS in_place,
	       a.attacl IS NULL AND a.attoptions IS NULL AND NOT a.attnotnull AND coalesce(a.attstattarget, -1) = -1 AND a.attcompression = '' AND a.attstorage = t.typstorage AND a.attcollation = t.typcollation
	       AND col_description(a.attrelid, a.attnum) IS NULL AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
	         AND d.classid <> 'pg_attrdef'::regclass) AS bare
	FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum JOIN pg_type t ON t.oid = a.atttypid WHERE f.oid = $1`

func generatedAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var c struct {
		Name, Type string
		InPlace    bool `db:"in_place"`
		Bare       bool
	}
	if err := r.get(ctx, &c, generatedSQL, x.OID); err != nil || !c.InPlace && !c.Bare {
		return nil, err
	}
	return &act{read: `SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
		WHERE f.adrelid = '` + copyName + `'::regclass AND quote_ident(a.attname) = ` + ident.Literal(c.Name),
		fixes: func(text []string) []Fix {
			alter := "ALTER TABLE " + r.t.SQL() + " "
			if c.InPlace {
				return inSwitch(alter + "ALTER COLUMN " + c.Name + " SET EXPRESSION AS (" + text[0] + ")")
			}
			return inSwitch(alter + "DROP COLUMN " + c.Name + ", ADD COLUMN " + c.Name + " " + c.Type + " GENERATED ALWAYS AS (" + text[0] + ") STORED")
		}}, nil
}

func exclusionAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var k struct{ Name, Raw, Body, Comment string }
	err := r.get(ctx, &k, `SELECT quote_ident(conname) AS name, conname AS raw, pg_get_constraintdef(oid) AS body, coalesce(obj_description(oid, 'pg_constraint'), '') AS comment FROM pg_constraint
		WHERE (oid = $1 OR conindid = $1) AND contype IN ('u', 'x')`, x.OID)
	if err != nil {
		return nil, err
	}
	return &act{make: `ALTER TABLE ` + r.t.SQL() + ` ADD CONSTRAINT ` + x.temporary() + ` ` + k.Body,
		read: `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '` + copyName + `'::regclass AND quote_ident(conname) = ` + ident.Literal(x.temporary()),
		fixes: func(text []string) []Fix {
			if x.byHand() {
				return []Fix{{phase.Migrate, "ALTER TABLE " + r.t.SQL() + " ADD CONSTRAINT " + ident.Quote(TwinName(r.d, k.Raw)) + " " + text[0]}}
			}
			out := []string{"ALTER TABLE " + r.t.SQL() + " DROP CONSTRAINT " + k.Name + ", ADD CONSTRAINT " + k.Name + " " + text[0]}
			if k.Comment != "" {
				out = append(out, "COMMENT ON CONSTRAINT "+k.Name+" ON "+r.t.SQL()+" IS "+ident.Literal(k.Comment))
			}
			return inSwitch(out...)
		}}, nil
}

func identityAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var name string
	if err := r.get(ctx, &name, `SELECT quote_ident(relname) FROM pg_class WHERE oid = $1`, x.OID); err != nil {
		return nil, err
	}
	alter := "ALTER TABLE " + r.t.SQL() + " REPLICA IDENTITY "
	return &act{fixes: func([]string) []Fix {
		return []Fix{{phase.Switch, alter + "FULL"}, {phase.Complete, alter + "USING INDEX " + name}}
	}}, nil
}

func publicationAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var p struct {
		Name, Filter string
		Columns      pq.StringArray
	}
	err := r.get(ctx, &p, `SELECT quote_ident(p.pubname) AS name, coalesce(pg_get_expr(r.prqual, r.prrelid), '') AS filter,
		ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = r.prrelid AND attnum = ANY (r.prattrs::int2[]) ORDER BY attnum) AS columns
		FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.oid = $1`, x.OID)
	if err != nil {
		return nil, err
	}
	a := &act{}
	if p.Filter != "" {
		a.make = `ALTER TABLE ` + r.t.SQL() + ` ADD CONSTRAINT ` + x.temporary() + ` CHECK (` + p.Filter + `)`
		a.read = `SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = '` + copyName + `'::regclass AND quote_ident(conname) = ` + ident.Literal(x.temporary())
	}
	a.fixes = func(text []string) []Fix {
		alter := "ALTER PUBLICATION " + p.Name
		add := alter + " ADD TABLE " + r.t.SQL()
		if len(p.Columns) > 0 {
			add += " (" + exchange(r.d, ident.List("", p.Columns)) + ")"
		}
		if len(text) > 0 {
			add += " WHERE (" + text[0] + ")"
		}
		return inSwitch(alter+" DROP TABLE "+r.t.SQL(), add)
	}
	return a, nil
}

// functionSQL cuts CREATE OR REPLACE FUNCTION schema.name off a definition.
const functionSQL = `substr(pg_get_functiondef(p.oid), strpos(pg_get_functiondef(p.oid), quote_ident(p.proname) || '(') + length(quote_ident(p.proname)))`

// functionAct makes a function under its own name, by which it calls its parameters, and renames it: there may be another of that name.
func functionAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var f struct{ Kind, Name, Bare, Body, Arguments string }
	err := r.get(ctx, &f, `SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind, format('%I.%I', n.nspname, p.proname) AS name, quote_ident(p.proname) AS bare,
		`+functionSQL+` AS body, pg_get_function_identity_arguments(p.oid) AS arguments FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = $1`, x.OID)
	if err != nil {
		return nil, err
	}
	temp := x.temporary()
	return &act{make: fmt.Sprintf(`CREATE %[1]s pg_temp.%[2]s%[3]s; ALTER %[1]s pg_temp.%[2]s(%[4]s) RENAME TO %[5]s`, f.Kind, f.Bare, f.Body, f.Arguments, temp),
		read: `SELECT ` + functionSQL + ` FROM pg_proc p WHERE p.pronamespace = pg_my_temp_schema() AND quote_ident(p.proname) = ` + ident.Literal(temp),
		fixes: func(text []string) []Fix {
			return inSwitch("CREATE OR REPLACE " + f.Kind + " " + f.Name + strings.ReplaceAll(strings.TrimSpace(text[0]), temp+".", f.Bare+"."))
		}}, nil
}
