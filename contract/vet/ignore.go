package vet

import (
	"bytes"
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/inspector"
)

const directive = "//tandem:ignore"

// ignored are the lines whose findings a comment suppresses: its own line, and, if it stands alone, the one below the group of comments that it is in.
type ignored map[string]map[int]bool

// ignoredOf reads the comments of a package. One without a reason suppresses nothing and is reported.
func ignoredOf(pass *analysis.Pass) ignored {
	out := ignored{}
	for _, file := range pass.Files {
		for _, group := range file.Comments {
			for _, c := range group.List {
				reason, is := strings.CutPrefix(c.Text, directive)
				if !is || reason != "" && reason[0] != ' ' && reason[0] != '\t' {
					continue
				}
				if strings.TrimSpace(reason) == "" {
					pass.Report(analysis.Diagnostic{Pos: c.Pos(), End: c.End(), Category: "ignore-without-reason",
						Message: "ignore-without-reason: " + directive + " without a reason suppresses nothing; who reads it cannot tell whether it still holds: write why the statement does no harm"})
					continue
				}
				out.add(pass, group, c)
			}
		}
	}
	return out
}

func (g ignored) add(pass *analysis.Pass, group *ast.CommentGroup, c *ast.Comment) {
	at := pass.Fset.PositionFor(c.Pos(), false)
	lines := g[at.Filename]
	if lines == nil {
		lines = map[int]bool{}
		g[at.Filename] = lines
	}
	lines[at.Line] = true
	if alone(pass, at) {
		lines[pass.Fset.PositionFor(group.End(), false).Line+1] = true
	}
}

// alone tells whether nothing but space stands before a comment in its line.
func alone(pass *analysis.Pass, at token.Position) bool {
	content, err := pass.ReadFile(at.Filename)
	if err != nil || at.Offset > len(content) {
		return false
	}
	before := content[:at.Offset]
	before = before[bytes.LastIndexByte(before, '\n')+1:]
	return len(bytes.TrimSpace(before)) == 0
}

// covers tells whether what is found at a place is suppressed: by its line, or by the first or last line of the string or the statement that it is in.
func (g ignored) covers(fset *token.FileSet, at inspector.Cursor, pos token.Pos) bool {
	if len(g) == 0 {
		return false
	}
	places := []token.Pos{pos, at.Node().Pos(), at.Node().End()}
	if s := statement(at); s != nil {
		places = append(places, s.Pos(), s.End())
	}
	for _, place := range places {
		if p := fset.PositionFor(place, false); g[p.Filename][p.Line] {
			return true
		}
	}
	return false
}

// statement is the innermost statement or specification around a node.
func statement(at inspector.Cursor) ast.Node {
	for c := range at.Enclosing() {
		switch n := c.Node().(type) {
		case *ast.ValueSpec, ast.Stmt:
			return n
		}
	}
	return nil
}
