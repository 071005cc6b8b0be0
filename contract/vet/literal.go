package vet

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"

	"github.com/tandem-go/tandem/internal/lexer"
)

// literal is the text of a string literal, with the exact place of each byte.
func (s source) literal(lit *ast.BasicLit) *text {
	if strings.HasPrefix(lit.Value, "`") {
		return s.raw(lit)
	}
	t := &text{}
	for rest := lit.Value[1:]; len(rest) > 1; {
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil { // not in a program that compiles
			return t
		}
		char := []byte{byte(r)}
		if multibyte {
			char = []byte(string(r))
		}
		pos := lit.Pos() + token.Pos(len(lit.Value)-len(rest))
		for _, b := range char {
			t.add(b, mark{pos: pos, end: pos + token.Pos(len(rest)-len(tail))})
		}
		rest = tail
	}
	return t
}

// raw counts within lines: the value of a literal has lost the carriage returns at their ends.
func (s source) raw(lit *ast.BasicLit) *text {
	t, file := &text{}, s.fset.File(lit.Pos())
	line, pos := file.PositionFor(lit.Pos(), false).Line, lit.Pos()+1
	for i := 1; i < len(lit.Value)-1; i++ {
		t.add(lit.Value[i], mark{pos: pos, end: pos + 1})
		pos++
		if lit.Value[i] == '\n' {
			line++
			pos = file.LineStart(line)
		}
	}
	return t
}

// verb is one of package fmt's.
var verb = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?(\d+|\*)?(\.(\[\d+\])?(\d+|\*)?)?(\[\d+\])?[A-Za-z%]`)

// formatted is the text that a format makes: a verb brings what is not known, but for %%.
func (t *text) formatted() *text {
	out, from := &text{}, 0
	for _, at := range verb.FindAllIndex(t.bytes, -1) {
		out.bytes, out.marks = append(out.bytes, t.bytes[from:at[0]]...), append(out.marks, t.marks[from:at[0]]...)
		b := byte(lexer.Hole)
		if t.bytes[at[1]-1] == '%' {
			b = '%'
		}
		m := t.marks[at[0]]
		m.end = t.marks[at[1]-1].end
		out.add(b, m)
		from = at[1]
	}
	out.bytes, out.marks = append(out.bytes, t.bytes[from:]...), append(out.marks, t.marks[from:]...)
	return out
}
