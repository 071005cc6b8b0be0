package catalog

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// pointer is a foreign key, of old or of another column that points at old.
type pointer struct {
	Name, Table, Body   string // of the table that it is on
	Columns, Referenced string // quoted, with commas
	Target              string // the table that it points at
	Valid               bool
	Comment             string
	Own                 bool // on the pair's table
}

const pointerSQL = `
	SELECT k.conname AS name, format('%I.%I', n.nspname, c.relname) AS table, pg_get_constraintdef(k.oid) AS body, k.convalidated AS valid, coalesce(obj_description(k.oid, 'pg_constraint'), '') AS comment,
	       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY u(num, place) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = num) AS columns,
	       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY place) FROM unnest(k.confkey) WITH ORDINALITY u(num, place) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = num) AS referenced,
	       k.confrelid::regclass::text AS target, c.oid = $2 AS own
	FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.oid = $1`

// foreignKeyAct lets a foreign key point at new; one of old that sets its default, which new has not until the end, does nothing for the time of the migration.
func foreignKeyAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var k pointer
	if err := r.get(ctx, &k, pointerSQL, x.OID, r.t.OID); err != nil {
		return nil, err
	}
	own := constraint{Name: k.Name, Kind: "f", Body: k.Body, Columns: k.Columns}
	if x.byHand() {
		return &act{fixes: func([]string) []Fix {
			return []Fix{{phase.Migrate, "ALTER TABLE " + k.Table + " ADD CONSTRAINT " + ident.Quote(TwinName(r.d, k.Name)) + " " + foreignKeyBody(r.d, own)}}
		}}, nil
	}
	if strings.HasPrefix(x.Remedy, "it points at") {
		head := "FOREIGN KEY (" + k.Columns + ") REFERENCES " + k.Target + "(" + k.Referenced + ")"
		rest, ok := strings.CutPrefix(k.Body, head)
		if !ok { // with PERIOD
			return nil, nil //nolint:nilnil // it cannot be told
		}
		body := "FOREIGN KEY (" + k.Columns + ") REFERENCES " + k.Target + "(" + exchange(r.d, k.Referenced) + ")" + rest
		return &act{fixes: func([]string) []Fix { return k.replaced(phase.Switch, body) }}, nil
	}
	quiet := setsDefault.ReplaceAllString(k.Body, "")
	if quiet == k.Body {
		return nil, nil //nolint:nilnil // the pair's own SQL solves it
	}
	return &act{fixes: func([]string) []Fix {
		return append(k.replaced(phase.Start, quiet), k.replaced(phase.Complete, foreignKeyBody(r.d, own))...)
	}}, nil
}

var setsDefault = regexp.MustCompile(` ON (DELETE|UPDATE) SET DEFAULT( \([^)]*\))?`)

// replaced puts another foreign key in the place of one, without a long lock.
func (k pointer) replaced(in phase.Phase, body string) []Fix {
	alter, name := "ALTER TABLE "+k.Table, ident.Quote(k.Name)
	other := ident.Quote(ident.Derive("", k.Name, "_tandem"))
	out := []Fix{{in, fmt.Sprintf("%s ADD CONSTRAINT %s %s NOT VALID", alter, other, strings.TrimSuffix(body, " NOT VALID"))}}
	if k.Valid {
		out = append(out, Fix{in, alter + " VALIDATE CONSTRAINT " + other})
	}
	swap := []string{alter + " DROP CONSTRAINT " + name, alter + " RENAME CONSTRAINT " + other + " TO " + name}
	if k.Comment != "" {
		swap = append(swap, "COMMENT ON CONSTRAINT "+name+" ON "+k.Table+" IS "+ident.Literal(k.Comment))
	}
	return append(out, Fix{in, together(swap...)})
}
