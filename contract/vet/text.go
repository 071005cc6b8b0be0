package vet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/tandem-go/tandem/internal/lexer"
	"github.com/tandem-go/tandem/internal/query"
)

// text is a string as the source puts it together. What is known only at run time is a lexer.Hole.
type text struct {
	bytes []byte
	marks []mark // one for each byte
}

// mark is where a byte of a text stands in the source.
type mark struct {
	pos, end token.Pos
	constant *string // what a constant brings, which is declared elsewhere
	offset   int     // the byte's in it
}

// source is what is known of a package.
type source struct {
	fset *token.FileSet
	info *types.Info
}

// isText tells whether a node is a string that can be, or be part of, a text. The strings of tags and imports have no type.
func (s source) isText(n ast.Node) bool {
	switch e := n.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING && s.isString(e)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && s.isString(e)
	case *ast.CallExpr:
		return s.isSprintf(e)
	}
	return false
}

func (s source) isString(e ast.Expr) bool {
	t := s.info.TypeOf(e)
	if t == nil {
		return false
	}
	b, is := t.Underlying().(*types.Basic)
	return is && b.Info()&types.IsString != 0
}

// isSprintf tells whether a call makes a string of a format, which is its first argument.
func (s source) isSprintf(call *ast.CallExpr) bool {
	return s.callee(call) == "fmt.Sprintf" && len(call.Args) > 0
}

// isFormat tells whether a text is the format of a call that makes no string: the second argument of fmt.Fprintf and of fmt.Appendf.
func (s source) isFormat(at inspector.Cursor) bool {
	call, is := at.Parent().Node().(*ast.CallExpr)
	if !is || len(call.Args) < 2 || call.Args[1] != at.Node() {
		return false
	}
	name := s.callee(call)
	return name == "fmt.Fprintf" || name == "fmt.Appendf"
}

// callee is the function of a call with the path of its package, or empty.
func (s source) callee(call *ast.CallExpr) string {
	if f, is := typeutil.Callee(s.info, call).(*types.Func); is {
		return f.FullName()
	}
	return ""
}

// isConversion tells whether a call only converts a string to another type of strings.
func (s source) isConversion(call *ast.CallExpr) bool {
	return len(call.Args) == 1 && s.info.Types[call.Fun].IsType() && s.isString(call) && s.isString(call.Args[0])
}

// climb is the whole of the text that a node is part of.
func (s source) climb(at inspector.Cursor) inspector.Cursor {
	for {
		up := at.Parent()
		switch e := up.Node().(type) {
		case *ast.ParenExpr:
		case *ast.BinaryExpr:
			if !s.isText(e) {
				return at
			}
		case *ast.CallExpr:
			if !s.isConversion(e) && (!s.isSprintf(e) || e.Args[0] != at.Node()) {
				return at
			}
		default:
			return at
		}
		at = up
	}
}

// text puts the text of an expression together.
func (s source) text(e ast.Expr) *text {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return s.text(e.X)
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return s.literal(e)
		}
	case *ast.BinaryExpr:
		if s.isText(e) {
			t, u := s.text(e.X), s.text(e.Y)
			return &text{bytes: append(t.bytes, u.bytes...), marks: append(t.marks, u.marks...)}
		}
	case *ast.CallExpr:
		switch {
		case s.isConversion(e):
			return s.text(e.Args[0])
		case s.isSprintf(e):
			return s.text(e.Args[0]).formatted()
		}
	}
	t := &text{}
	if v := s.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		value := constant.StringVal(v)
		for i := range len(value) {
			t.add(value[i], mark{pos: e.Pos(), end: e.End(), constant: &value, offset: i})
		}
		return t
	}
	t.add(lexer.Hole, mark{pos: e.Pos(), end: e.End()})
	return t
}

func (t *text) add(b byte, m mark) {
	t.bytes, t.marks = append(t.bytes, b), append(t.marks, m)
}

// elsewhere tells whether a finding is one of a constant by itself: it is reported where the constant is declared.
func (t *text) elsewhere(f query.Finding, columns []query.Column) bool {
	first, last := t.marks[f.Start], t.marks[f.End-1]
	if first.constant == nil || first.constant != last.constant {
		return false
	}
	for _, g := range query.Examine(*first.constant, columns) {
		if g.Rule == f.Rule && g.Start == first.offset && g.Column == f.Column {
			return true
		}
	}
	return false
}

// shown is what was found, for a message.
func (t *text) shown(f query.Finding) string {
	if f.Rule == query.Star && t.bytes[f.Start] == '*' {
		return "SELECT *" //tandem:ignore a word of a message, no query
	}
	return strings.ReplaceAll(string(t.bytes[f.Start:f.End]), string(lexer.Hole), "...")
}
