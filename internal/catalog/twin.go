package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// LockTimeout bounds the wait for the ACCESS SHARE lock of the empty copy.
const LockTimeout = 2 * time.Second

// Twin is an index or constraint of old together with its counterpart on new.
type Twin struct {
	Kind     string   // index, unique constraint, check, foreign key, statistics object
	Of       string   // the name of old's
	Name     string   // the name of new's until old is dropped
	Ready    bool     // there and valid
	Leftover bool     // there and not valid: a build that was interrupted
	Create   []string // what makes it, after the twins before it in the list; for an index outside a transaction
	Finish   []string // gives it Of's name, after old is dropped
}

type index struct {
	Name     string `db:"name"`
	Unique   bool   `db:"is_unique"`
	Valid    bool   `db:"is_valid"`
	Mentions bool   `db:"mentions"`
	body
	Space      string         `db:"space"`           // its tablespace; '': the database's
	Constraint string         `db:"constraint_kind"` // '', u, x
	Deferrable string         `db:"deferrable"`
	Extras     pq.StringArray `db:"extras"`
}

// indexExtras are the statements that give an index of the same name what its definition does not tell: comments, statistics targets, CLUSTER ON.
const indexExtras = `ARRAY(
	SELECT format('COMMENT ON INDEX %I.%I IS %L', n.nspname, x.relname, obj_description(x.oid, 'pg_class')) WHERE obj_description(x.oid, 'pg_class') IS NOT NULL
	UNION ALL
	SELECT format('COMMENT ON CONSTRAINT %I ON %I.%I IS %L', k.conname, n.nspname, c.relname, obj_description(k.oid, 'pg_constraint'))
	WHERE obj_description(k.oid, 'pg_constraint') IS NOT NULL
	UNION ALL
	SELECT format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', n.nspname, x.relname, a.attnum, a.attstattarget)
	FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0
	UNION ALL
	SELECT format('ALTER TABLE %I.%I CLUSTER ON %I', n.nspname, c.relname, x.relname) WHERE i.indisclustered)`

const indexSpace = `coalesce((SELECT spcname FROM pg_tablespace WHERE oid = x.reltablespace), '')`

// mentions: key or included column, or through an expression or predicate, which pg_depend knows.
const indexesSQL = `
	SELECT i.indexrelid::bigint AS oid, x.relname AS name, i.indisunique AS is_unique, i.indisvalid AS is_valid, ` + indexBody + ` AS body, ` + indexPredicate + ` AS predicate, ` + indexSpace + ` AS space,
	       i.indkey::int2[] && $2::int2[] OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
	         AND d.refobjid = i.indrelid AND d.refobjsubid = ANY ($2::int4[])) AS mentions,
	       CASE WHEN i.indisexclusion THEN 'x' ELSE coalesce(k.contype::text, '') END AS constraint_kind, -- a unique constraint WITHOUT OVERLAPS too
	       CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END AS deferrable,
	       ` + indexExtras + ` AS extras
	FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('u', 'x', 'p')
	WHERE i.indrelid = $1 ORDER BY x.relname`

type constraint struct {
	OID      int64  `db:"oid"`
	Name     string `db:"name"`
	Kind     string `db:"kind"` // c, f
	Valid    bool   `db:"is_valid"`
	Mentions bool   `db:"mentions"`
	Body     string `db:"body"`
	Columns  string `db:"columns"` // of a foreign key, quoted and with commas
	Comment  string `db:"comment"`
}

const constraintsSQL = `
	SELECT k.oid::bigint AS oid, k.conname AS name, k.contype::text AS kind, k.convalidated AS is_valid, k.conkey && $2::int2[] AS mentions,
	       pg_get_constraintdef(k.oid) AS body,
	       coalesce(obj_description(k.oid, 'pg_constraint'), '') AS comment,
	       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
	        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num) AS columns
	FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype IN ('c', 'f') ORDER BY k.conname`

// Twins lists the indexes, checks, foreign keys and statistics objects of old, and for each the twin on new. Of a column set they have no Create: what stands for them on new only the application
// knows, and it counts if it has the twin's name. A unique constraint is there twice, as index and as constraint: only
// the constraint can be deferrable, and as long as both columns live new must be as lenient as old. It changes nothing: what TwinsIn makes is rolled back.
func Twins(ctx context.Context, db *sqlx.DB, t *Table, d pair.Definition) ([]Twin, error) {
	var out []Twin
	err := pg.InTx(ctx, db, pg.Settings{LockTimeout: LockTimeout}, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if out, err = TwinsIn(ctx, tx, t, d); err != nil {
			return err
		}
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		return nil, fmt.Errorf("definitions of %s: %w", d.Table, err)
	}
	return out, nil
}

// TwinsIn is Twins in the caller's transaction, whose locks on the table it respects.
func TwinsIn(ctx context.Context, tx *sqlx.Tx, t *Table, d pair.Definition) ([]Twin, error) {
	if d.Moved() {
		return movedTwins(ctx, tx, t, d)
	}
	s := Spelling{}
	if !d.IsSet() {
		var err error
		if s, err = respell(ctx, tx, d); err != nil {
			return nil, err
		}
	}
	numbers := pq.Array(t.numbers(d.Old))
	var indexes []index
	if err := tx.SelectContext(ctx, &indexes, indexesSQL, t.OID, numbers); err != nil {
		return nil, err
	}
	var constraints []constraint
	if err := tx.SelectContext(ctx, &constraints, constraintsSQL, t.OID, numbers); err != nil {
		return nil, err
	}
	if d.IsSet() {
		return stands(d, indexes, constraints), nil
	}
	var objects []statistics
	if err := tx.SelectContext(ctx, &objects, statisticsSQL, t.OID, numbers); err != nil {
		return nil, err
	}
	var out []Twin
	for _, x := range indexes {
		if !x.Mentions || x.Constraint == "x" {
			continue
		}
		w := indexTwin(d, x, s.of("index", x.Body), indexes)
		out = append(out, w)
		if x.Constraint == "u" {
			out = append(out, uniqueTwin(d, x, indexes, w.Ready))
		}
	}
	for _, k := range constraints {
		if k.Mentions {
			out = append(out, constraintTwin(d, k, s, constraints))
		}
	}
	for _, o := range objects {
		if o.Mentions {
			out = append(out, statisticsTwin(d, o, s.of("statistics", o.Body).Body, objects))
		}
	}
	kids, err := children(ctx, tx, t)
	for i := range out {
		out[i].Finish = append(out[i].Finish, takeNames(out[i], kids)...)
	}
	return out, err
}

func indexTwin(d pair.Definition, x index, spelled body, all []index) Twin {
	w := Twin{Kind: "index", Of: x.Name, Name: TwinName(d, x.Name)}
	for _, other := range all {
		if other.Name == w.Name {
			w.Ready = other.Valid && other.Unique == x.Unique && other.Body == spelled.Body && other.Space == x.Space
			w.Leftover = !w.Ready
		}
	}
	unique := map[bool]string{true: "UNIQUE ", false: ""}[x.Unique]
	w.Create = []string{fmt.Sprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s", unique, ident.Quote(w.Name), d.Table.SQL(), spelled.placed(x.Space))}
	if x.Constraint == "" { // else the constraint takes its index along
		w.Finish = append([]string{fmt.Sprintf("ALTER INDEX %s.%s RENAME TO %s", ident.Quote(d.Table.Schema), ident.Quote(w.Name), ident.Quote(x.Name))}, x.Extras...)
	}
	return w
}

// uniqueTwin is the constraint for which indexTwin is the index.
func uniqueTwin(d pair.Definition, x index, all []index, indexReady bool) Twin {
	w := Twin{Kind: "unique constraint", Of: x.Name, Name: TwinName(d, x.Name)}
	for _, other := range all {
		if other.Name == w.Name {
			w.Ready = indexReady && other.Constraint == "u" && other.Deferrable == x.Deferrable
		}
	}
	alter := "ALTER TABLE " + d.Table.SQL()
	w.Create = []string{fmt.Sprintf("%s ADD CONSTRAINT %s UNIQUE USING INDEX %s%s", alter, ident.Quote(w.Name), ident.Quote(w.Name), x.Deferrable)}
	w.Finish = append([]string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(w.Name), ident.Quote(x.Name))}, x.Extras...)
	return w
}

func constraintTwin(d pair.Definition, k constraint, s Spelling, all []constraint) Twin {
	w := Twin{Kind: k.kind(), Of: k.Name, Name: TwinName(d, k.Name)}
	body := s.of("check", strings.TrimSuffix(k.Body, " NOT VALID")).Body
	if k.Kind == "f" {
		body = foreignKeyBody(d, k)
	}
	body = strings.TrimSuffix(body, " NOT VALID")
	for _, other := range all {
		if other.Name == w.Name {
			w.Ready = other.Valid || !k.Valid
			w.Leftover = !w.Ready
		}
	}
	alter := "ALTER TABLE " + d.Table.SQL()
	if !w.Leftover {
		w.Create = []string{fmt.Sprintf("%s ADD CONSTRAINT %s %s NOT VALID", alter, ident.Quote(w.Name), body)}
	}
	if k.Valid {
		w.Create = append(w.Create, fmt.Sprintf("%s VALIDATE CONSTRAINT %s", alter, ident.Quote(w.Name)))
	}
	w.Finish = []string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(w.Name), ident.Quote(k.Name))}
	w.Finish = append(w.Finish, k.commentSQL(d.Table)...)
	return w
}

func (k constraint) kind() string { return map[string]string{"c": "check", "f": "foreign key"}[k.Kind] }

// commentSQL gives a constraint of the same name the comment.
func (k constraint) commentSQL(t ident.Table) []string {
	if k.Comment == "" {
		return nil
	}
	return []string{fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", ident.Quote(k.Name), t.SQL(), ident.Literal(k.Comment))}
}

// foreignKeyBody exchanges the columns in FOREIGN KEY (a, PERIOD b) REFERENCES ..., and in the list of ON DELETE SET NULL (a), which version 15 brought.
func foreignKeyBody(d pair.Definition, k constraint) string {
	columns := exchange(d, k.Columns)
	rest, ok := strings.CutPrefix(k.Body, "FOREIGN KEY ("+k.Columns+")")
	if !ok {
		rest = strings.TrimPrefix(k.Body, "FOREIGN KEY ("+withPeriod(k.Columns)+")")
		columns = withPeriod(columns)
	}
	for _, action := range []string{" ON DELETE SET NULL (", " ON DELETE SET DEFAULT ("} {
		if before, after, ok := strings.Cut(rest, action); ok {
			list, end, _ := strings.Cut(after, ")")
			rest = before + action + exchange(d, list) + ")" + end
		}
	}
	return "FOREIGN KEY (" + columns + ")" + rest
}

// withPeriod is a list whose last column is the period of a temporal foreign key.
func withPeriod(list string) string {
	at := strings.LastIndex(list, ", ") + len(", ")
	return list[:at] + "PERIOD " + list[at:]
}

// exchange puts new for old in a list of quoted names.
func exchange(d pair.Definition, list string) string {
	list = ", " + list + ", "
	for i, old := range d.Old {
		list = strings.Replace(list, ", "+ident.Quote(old)+", ", ", "+ident.Quote(d.New[i])+", ", 1)
	}
	return strings.TrimSuffix(strings.TrimPrefix(list, ", "), ", ")
}

// TwinName is the name of the counterpart of old's index or constraint until old is dropped.
func TwinName(d pair.Definition, name string) string {
	return ident.Derive("", name, "_"+short(d))
}

// short tells the twins of two migrations on one table apart.
func short(d pair.Definition) string { return "tandem_" + d.Fingerprint()[:6] }

func (t *Table) numbers(names []string) []int64 {
	var out []int64
	for _, n := range names {
		if c := t.Column(n); c != nil {
			out = append(out, int64(c.Number))
		}
	}
	return out
}
