package expand_test

import (
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
)

// dump is what a step may not change by accident: columns and triggers of the application's tables, in words.
func dump(t testing.TB, db *sqlx.DB) string {
	t.Helper()
	var lines []string
	require.NoError(t, db.Select(&lines, `
		SELECT format('%s %s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'tandem')
		UNION ALL
		SELECT pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
		WHERE NOT g.tgisinternal AND c.relnamespace IS DISTINCT FROM to_regnamespace('tandem')
		ORDER BY 1`))
	return strings.Join(lines, "\n")
}
