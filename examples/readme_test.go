package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages are for those who use the library. Their code and their links must not rot.
var pages = []string{"README.md", "GUIDE.md"}

// Every block of Go in a page stands in an example, which is compiled and run.
func TestCodeOfPagesIsFromTheExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/*.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, f := range files {
		code.WriteString(text(t, f))
	}
	for _, page := range pages {
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text(t, filepath.Join("..", page)), -1)
		require.NotEmpty(t, blocks, page)
		for _, b := range blocks {
			if !strings.Contains(code.String(), b[1]) { // not require.Contains, which would print all the code
				t.Errorf("%s: no example has\n%s", page, b[1])
			}
		}
	}
}

// The pages link to files that are there.
func TestLinksOfPages(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text(t, filepath.Join("..", page)), "")
		links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(prose, -1)
		require.NotEmpty(t, links, page)
		for _, l := range links {
			_, err := os.Stat(filepath.Join("..", l[1]))
			require.NoError(t, err, page)
		}
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}
