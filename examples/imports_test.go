package examples_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/tandem-go/tandem/"

// layers lists for each folder at the top which others it may import, besides internal.
var layers = map[string][]string{
	"examples":   {"backfill", "contract", "expand", "switchover"},
	"backfill":   {"expand", "switchover"},
	"contract":   {"expand", "switchover"},
	"expand":     {"switchover"},
	"switchover": {},
	"internal":   {},
}

// Imports go one way: examples -> backfill, contract -> expand -> switchover -> internal.
func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := top(words[0])
		require.Contains(t, layers, from, "a folder at the top that the layout does not know: %s", words[0])
		seen[from] = true
		for _, to := range words[1:] {
			require.True(t, to != "pgregory.net/rapid" || words[0] == module+"expand/expandtest", "%s imports rapid, which is for tests", words[0])
			if !strings.HasPrefix(to, module) || top(to) == "internal" || top(to) == from {
				continue
			}
			require.True(t, slices.Contains(layers[from], top(to)), "%s imports %s", words[0], to)
		}
	}
	require.Len(t, seen, len(layers))
}

func top(path string) string {
	folder, _, _ := strings.Cut(strings.TrimPrefix(path, module), "/")
	return folder
}
