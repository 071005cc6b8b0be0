package expand

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
)

// Bounds of the sample: of a table with more pages some pages are read, and of those some rows, fewer where the values are long.
const (
	sampleRows  = 1000
	samplePages = 128
	sampleBytes = 8 << 20
	sampleTime  = 30 * time.Second // for one statement
	maxElement  = 64 << 20         // of what Go makes, so that all of it fits a message of 1 GB
)

// sizeSQL is the number of pages, and whether an index finds NULLs, the smallest and the largest value.
const sizeSQL = `
	SELECT (SELECT sum(pg_relation_size(c.oid)) / current_setting('block_size')::int FROM pg_class c
	        WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass) WHERE isleaf))::float8 AS pages,
	       EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
	               WHERE i.indrelid = $1 AND i.indkey[0] = $2 AND i.indpred IS NULL AND i.indisvalid AND a.amname = 'btree') AS indexed`

// pickSQL selects the rows of the sample: tandem_n, tandem_key and old. The same rows every time, so that Plan and Apply see the same.
func (s *sample) pickSQL(ctx context.Context) (string, error) {
	var size struct {
		Pages   float64
		Indexed bool
	}
	if err := s.tx.GetContext(ctx, &size, sizeSQL, s.t.OID, s.t.Column(s.d.Old[0]).Number); err != nil {
		return "", err
	}
	table, key, old := s.d.Table.SQL(), ident.List("t.", s.d.Key), "t."+s.old
	keyText := strings.Join(ident.QuoteAll("t.", s.d.Key), "::text, ") + "::text"
	from := table + " AS t"
	if size.Pages > samplePages {
		from += fmt.Sprintf(" TABLESAMPLE SYSTEM (%f) REPEATABLE (0)", 100*samplePages/size.Pages)
	}
	keys := fmt.Sprintf(`SELECT %s FROM (SELECT *, sum(tandem_size) OVER (ROWS UNBOUNDED PRECEDING) AS tandem_upto FROM (
		SELECT %s, coalesce(octet_length(%s), 0) AS tandem_size FROM %s ORDER BY hashtext(ARRAY[%s]::text) LIMIT %d) x) t WHERE tandem_upto <= %d`,
		key, key, s.octets(old), from, keyText, sampleRows, sampleBytes)
	if size.Indexed {
		for _, end := range []string{"IS NULL LIMIT 10", "IS NOT NULL ORDER BY " + old + " LIMIT 1", "IS NOT NULL ORDER BY " + old + " DESC LIMIT 1"} {
			keys += fmt.Sprintf(" UNION (SELECT %s FROM %s AS t WHERE %s %s)", key, table, old, end)
		}
	}
	same := "(" + key + ") = (" + ident.List("picked.", s.d.Key) + ")"
	return fmt.Sprintf(`WITH picked AS MATERIALIZED (%s) SELECT (row_number() OVER (ORDER BY %s))::int AS tandem_n, ARRAY[%s] AS tandem_key, %s FROM picked JOIN %s AS t ON %s`,
		keys, key, keyText, old, table, same), nil
}

// octets is what has the length of a value. That of text and bytea is known without reading it; pg_column_size would be the length as it is compressed.
func (s *sample) octets(old string) string {
	switch s.t.Column(s.d.Old[0]).Base {
	case "text", "character varying", "bytea":
		return old
	}
	return old + "::text"
}

// made are values from Go for rows of the sample.
type made struct {
	typ    sampleType
	rows   []int64
	values []any
}

// add takes what a conversion makes of a row, or returns why there is nothing to take.
func (m *made) add(n int64, convert func() ([]any, error)) error {
	var v any
	list, err := unpanicked(convert)
	if err == nil {
		v, err = element(list[0], m.typ)
	}
	if err == nil {
		m.rows, m.values = append(m.rows, n), append(m.values, v)
	}
	return err
}

// sampleType is a column's type in the temporary table.
type sampleType struct {
	Base  string // without a modifier
	Bytes bool   // at bottom bytea
}

const sampleTypesSQL = `
	WITH RECURSIVE chain AS (
		SELECT a.attnum, a.atttypid AS top, a.atttypid AS oid FROM pg_attribute a WHERE a.attrelid = 'pg_temp.tandem_sample'::regclass AND a.attnum IN (1, 2)
		UNION ALL SELECT attnum, top, typbasetype FROM chain JOIN pg_type t USING (oid) WHERE typbasetype <> 0)
	SELECT format_type(top, -1) AS base, bool_or(oid = 'bytea'::regtype) AS bytes FROM chain GROUP BY attnum, top ORDER BY attnum`

// create makes the temporary table of the sample and goes to the guard's search_path. It returns the types of old and new.
func (s *sample) create(ctx context.Context, pick string) (types []sampleType, err error) {
	old, new := s.t.Column(s.d.Old[0]).TypeSQL(), newTypeSQL(s.t, s.d, 0)
	for _, sql := range []string{
		`CREATE TEMPORARY TABLE tandem_sample (` + s.old + ` ` + old + `, ` + s.new + ` ` + new + `, tandem_new_says text,
			tandem_again ` + new + `, tandem_again_says text, tandem_made text, tandem_go ` + new + `, tandem_go_says text, tandem_back ` + old + `, tandem_back_says text,
			tandem_key text[], tandem_n int PRIMARY KEY) ON COMMIT DROP`,
		`INSERT INTO pg_temp.tandem_sample (tandem_n, tandem_key, ` + s.old + `) ` + pick,
		guardPath,
	} {
		if _, err := s.tx.ExecContext(ctx, sql); err != nil {
			return nil, err
		}
	}
	return types, s.tx.SelectContext(ctx, &types, sampleTypesSQL)
}

// says is the column for PostgreSQL's refusals of another.
func (s *sample) says(column string) string {
	if column == s.new {
		return "tandem_new_says"
	}
	return column + "_says"
}

// fill computes a column of every row, or notes why PostgreSQL refuses to.
func (s *sample) fill(ctx context.Context, column, expr string) error {
	_, err := s.tx.ExecContext(ctx, `DO `+ident.Literal(`DECLARE tandem_row int; BEGIN
		FOR tandem_row IN SELECT tandem_n FROM pg_temp.tandem_sample LOOP
			BEGIN UPDATE pg_temp.tandem_sample AS t SET `+column+` = `+expr+` WHERE t.tandem_n = tandem_row;
			EXCEPTION WHEN OTHERS THEN UPDATE pg_temp.tandem_sample AS t SET `+s.says(column)+` = SQLERRM WHERE t.tandem_n = tandem_row; END;
		END LOOP; END`))
	return err
}

// otherSession are settings that a conversion must not depend on, each at a value that few sessions have. Not extra_float_digits: nothing that turns a float into text
// is free of it, and all clients of today keep it above 0, where the text is exact.
const otherSession = `SELECT set_config('TimeZone', 'Asia/Kathmandu', true), set_config('DateStyle', 'SQL, DMY', true), set_config('IntervalStyle', 'sql_standard', true),
	set_config('bytea_output', 'escape', true), set_config('lc_monetary', 'C', true), set_config('lc_time', 'C', true), set_config('lc_numeric', 'C', true)`

// elsewhere runs fn under the settings of another session.
func (s *sample) elsewhere(ctx context.Context, fn func() error) error {
	var names []string
	const settings = `SELECT format('SET LOCAL %I = %L', name, setting) FROM pg_catalog.pg_settings
		WHERE lower(name) IN ('timezone', 'datestyle', 'intervalstyle', 'bytea_output', 'lc_monetary', 'lc_time', 'lc_numeric')`
	if err := s.tx.SelectContext(ctx, &names, settings); err != nil {
		return err
	}
	if _, err := s.tx.ExecContext(ctx, otherSession); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	_, err := s.tx.ExecContext(ctx, strings.Join(names, "; "))
	return err
}

// element is a value from Go as an element of an array of text, as the backfill writes it.
func element(v any, typ sampleType) (any, error) {
	if value, err := driver.DefaultParameterConverter.ConvertValue(v); err == nil {
		v = value
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		return nil, nil
	}
	text, ok := v.(string)
	if raw, isBytes := v.([]byte); isBytes {
		if typ.Bytes {
			return `\x` + hex.EncodeToString(raw), nil
		}
		text, ok = string(raw), true
	}
	switch {
	case ok && len(text) > maxElement:
		return nil, fmt.Errorf("it makes %d bytes, more than the sample takes", len(text))
	case ok && (!utf8.ValidString(text) || strings.ContainsRune(text, 0)):
		return nil, fmt.Errorf("%q is no text that PostgreSQL stores", text)
	}
	return v, nil
}

// put stores values from Go in a column.
func (s *sample) put(ctx context.Context, column string, m *made) error {
	_, err := s.tx.ExecContext(ctx, `UPDATE pg_temp.tandem_sample AS t SET tandem_made = v.made
		FROM pg_temp.tandem_sample s LEFT JOIN unnest($1::int[], $2::text[]) AS v(n, made) ON v.n = s.tandem_n WHERE s.tandem_n = t.tandem_n`,
		pq.Array(m.rows), pq.GenericArray{A: m.values})
	if err != nil {
		return err
	}
	return s.fill(ctx, column, "t.tandem_made::"+m.typ.Base)
}

// shownSQL is a value for a message.
func shownSQL(column string) string { return "coalesce(left(" + column + "::text, 200), 'NULL')" }
