package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sessionSQL is what lasts longer than a transaction, and behind a pooler is anybody's: advisory locks and settings of the session, LISTEN.
var sessionSQL = regexp.MustCompile("(?i)pg_(try_)?advisory_(lock|unlock)|set_config\\([^()]*,\\s*false\\)|[\"`]\\s*(SET (SESSION |[a-z_.]+ (=|TO) )|LISTEN [a-z_]+[\"`;])")

func TestNothingIsKeptInASession(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{`"SELECT pg_advisory_lock(1)"`, `"SELECT pg_try_advisory_lock(1)"`, `set_config('lock_timeout', '1s', false)`, `"SET lock_timeout = 1"`, `"set session x to 1"`, `"LISTEN tandem"`} {
		require.Regexp(t, sessionSQL, sql)
	}
	files := 0
	for _, dir := range []string{"expand", "backfill", "switchover", "contract", "internal"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") {
				return err
			}
			files++
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			// in the head of a function a setting is the function's
			head := strings.NewReplacer("SET enable_seqscan = off", "", "SET DateStyle = ISO", "")
			require.Empty(t, sessionSQL.FindAllString(head.Replace(string(text)), -1), path)
			return nil
		}))
	}
	require.Greater(t, files, 50)
}
