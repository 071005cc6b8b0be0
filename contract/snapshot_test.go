package contract_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
)

// snapshot is a whole schema.
type snapshot struct {
	lines []string // Describe of each table, partition and view; functions
	dump  []string // pg_dump's entries, where there is a pg_dump of the server's version
}

// takeSnapshot reads the public schema. Without a dsn there is no dump.
func takeSnapshot(t *testing.T, q sqlx.QueryerContext, dsn string) snapshot {
	t.Helper()
	var s snapshot
	var names []string
	require.NoError(t, sqlx.SelectContext(t.Context(), q, &names, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1`))
	for _, name := range names {
		lines, err := catalog.Describe(t.Context(), q, ident.Table{Schema: ident.DefaultSchema, Name: name})
		require.NoError(t, err)
		for _, line := range lines {
			s.lines = append(s.lines, name+": "+line)
		}
	}
	var functions []string
	require.NoError(t, sqlx.SelectContext(t.Context(), q, &functions, `SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' ORDER BY 1`))
	s.lines = append(s.lines, functions...)
	if dsn != "" {
		s.dump = dumpEntries(t, q, dsn)
	}
	return s
}

// same fails with what differs alone: a whole schema is long.
func (s snapshot) same(t *testing.T, other snapshot) {
	t.Helper()
	require.Empty(t, missing(s.lines, other.lines), "lost in the catalog; instead there is %q", missing(other.lines, s.lines))
	require.Empty(t, missing(other.lines, s.lines), "nobody asked for it")
	require.Empty(t, missing(s.dump, other.dump), "lost in the dump; instead there is %q", missing(other.dump, s.dump))
	require.Empty(t, missing(other.dump, s.dump), "nobody asked for it")
}

// missing are those of a that b has not, or less often.
func missing(a, b []string) (out []string) {
	count := map[string]int{}
	for _, x := range b {
		count[x]++
	}
	for _, x := range a {
		if count[x]--; count[x] < 0 {
			out = append(out, x)
		}
	}
	return out
}

// dumpers are the pg_dumps of this machine, by major version.
var dumpers = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	for _, path := range paths {
		out[filepath.Base(filepath.Dir(filepath.Dir(path)))] = path
	}
	return out
})

// dumpEntries are the entries of pg_dump, sorted, and the columns of each table and statistics object and the grants of each object sorted too: all but the position of columns and
// the order in which things were granted.
func dumpEntries(t *testing.T, q sqlx.QueryerContext, dsn string) []string {
	t.Helper()
	var major string
	require.NoError(t, sqlx.GetContext(t.Context(), q, &major, `SELECT current_setting('server_version_num')::int / 10000`))
	path := dumpers()[major]
	if path == "" {
		return nil
	}
	out, err := exec.CommandContext(t.Context(), path, "--schema-only", "--exclude-schema=tandem", "--dbname="+dsn).Output()
	require.NoError(t, err)
	entries := strings.Split(string(out), "\n--\n-- Name: ")[1:]
	last := len(entries) - 1
	entries[last], _, _ = strings.Cut(entries[last], "\n--\n-- PostgreSQL database dump complete")
	for i, e := range entries {
		switch {
		case strings.Contains(e, "; Type: STATISTICS;"):
			words := strings.Fields(strings.ReplaceAll(e, ",", ""))
			slices.Sort(words)
			entries[i] = strings.Join(words, " ")
		case strings.Contains(e, "; Type: TABLE;"), strings.Contains(e, "; Type: ACL;"):
			lines := strings.Split(strings.ReplaceAll(e, ",\n", "\n"), "\n")
			slices.Sort(lines)
			entries[i] = strings.Join(lines, "\n")
		}
	}
	slices.Sort(entries)
	return entries
}
