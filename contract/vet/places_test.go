package vet_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/tandem-go/tandem/contract/vet"
)

// Two bars follow what is to be reported, each time at exactly the place of the text before them.
const places = "package places\n\nimport \"fmt\"\n\n" +
	"const a, cols = `SELECT *|| FROM t`, `u.*`\n\n" +
	"var b = `\n\t-- SELECT *\n\tSELECT 'é', u.*||\n\tFROM t u`\n" +
	`var c = "SELECT\n\t\u00e9\x2c\"q\"" + ", t.*|| FROM t"` + "\n" +
	"var d = \"SELECT \" + (cols||) + `\nFROM t u`\n" +
	`var e = fmt.Sprintf("SELECT %-5.3[1]d%%2, " + ` + "`\n*||\nFROM t` + \" WHERE %s\", 1, 2)\n" +
	`var f = fmt.Sprintf("INSERT INTO app.%q|| VALUES (1)", "x")` + "\n" +
	"var g = \"INSERT INTO \\\"T\\\"|| VALUES (1)\" +\n\t` RETURNING\n*||`\n" +
	"var h = a + ` UNION SELECT\n\t*|| FROM t`\n"

func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"lf": "\n", "crlf": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := strings.Split(strings.ReplaceAll(places, "\n", end), "||")
			content := strings.Join(parts, "")
			dir, clean, err := analysistest.WriteFiles(map[string]string{"places/places.go": content})
			require.NoError(t, err)
			t.Cleanup(clean)
			results := analysistest.Run(deaf{}, dir, vet.Analyzer, "places")
			require.Len(t, results, 1)
			require.NoError(t, results[0].Action.Err)
			var got, want []int
			var texts []string
			for _, d := range results[0].Action.Diagnostics {
				from, to := results[0].Action.Package.Fset.Position(d.Pos).Offset, results[0].Action.Package.Fset.Position(d.End).Offset
				got, texts = append(got, to), append(texts, content[from:to])
			}
			at := 0
			for _, part := range parts[:len(parts)-1] {
				at += len(part)
				want = append(want, at)
			}
			require.Equal(t, []string{"*", "u.*", "t.*", "cols", "*", "app.%q", `\"T\"`, "*", "*"}, texts)
			require.Equal(t, want, got)
		})
	}
}

// deaf does not hear that the file says of none of its findings that they are wanted.
type deaf struct{}

func (deaf) Errorf(string, ...any) {}
