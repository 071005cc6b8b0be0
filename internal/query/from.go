package query

import "github.com/tandem-go/tandem/internal/lexer"

// noAlias are the words that may follow a table and are no alias of it.
var noAlias = set(`join left right full inner cross natural on using where group having window order limit offset fetch for union intersect except
	tablesample as set returning values default overriding select with table from to do not`)

// from goes over a list of tables and joins, and returns where it ends.
func (p *parser) from(i, end int, s *scope) int {
	i = p.item(i, end, s)
	for i < end {
		switch w := p.clause(i); {
		case afterFrom[w] || setOperators[w] || w == "into":
			return i
		case w == "join", p.text(i) == ",":
			i = p.item(i+1, end, s)
		case p.text(i) == "(":
			_, _, after := p.inside(i, end)
			p.expression(i, after, s)
			i = after
		default:
			i++
		}
	}
	return i
}

// item goes over a table, a subquery, a function or joins in parentheses, with its alias.
func (p *parser) item(i, end int, s *scope) int {
	i = p.skip(i, end, "only", "lateral")
	switch {
	case i >= end:
		return end
	case p.text(i) == "(":
		from, to, after := p.inside(i, end)
		switch {
		case p.isQuery[i]:
			p.query(from, to, s, false)
		case p.word(from) != "" && p.tokens[from].Open() && to == from+1: // a query of which nothing is known
		default:
			p.from(from, to, s)
			return after
		}
		return p.alias(after, end, s, item{other: true})
	case p.word(i) == "rows" && p.word(i+1) == "from" && p.text(i+2) == "(":
		_, _, after := p.inside(i+2, end)
		p.expression(i+2, after, s)
		return p.alias(after, end, s, item{other: true})
	case !p.isName(i):
		return i
	}
	path, after := p.path(i, end)
	if p.text(after) == "(" && after < end { // a function
		_, _, behind := p.inside(after, end)
		p.expression(after, behind, s)
		behind = p.skip(behind, end, "with", "ordinality")
		return p.alias(behind, end, s, item{other: true})
	}
	it := item{table: p.table(path)}
	it.alias = it.table.Name
	it.other = len(path) == 1 && s.isWith(it.table.Name)
	p.declarePath(i, after)
	if p.text(after) == "*" {
		after++
	}
	return p.alias(after, end, s, it)
}

// alias adds the item, with the alias and the columns' aliases that follow.
func (p *parser) alias(i, end int, s *scope, it item) int {
	as := i < end && p.word(i) == "as"
	if as {
		i++
	}
	if i < end && p.isName(i) && (as || !noAlias[p.word(i)]) {
		it.alias = p.tokens[i].Identifier()
		p.declared[i] = true
		i = p.declare(i+1, end)
	} else if as {
		i = p.declare(i, end)
	}
	s.items = append(s.items, it)
	return i
}

// path is a name with what qualifies it, and the token after it.
func (p *parser) path(i, end int) (path []lexer.Token, after int) {
	for i < end && p.isName(i) {
		path = append(path, p.tokens[i])
		i++
		if p.text(i) != "." || i+1 >= end || !p.isName(i+1) {
			break
		}
		i++
	}
	return path, i
}

func (p *parser) declarePath(i, end int) {
	for ; i < end; i++ {
		p.declared[i] = true
	}
}

// table is the table that a path names.
func (*parser) table(path []lexer.Token) Table {
	last := path[len(path)-1]
	t := Table{Name: last.Identifier(), Open: last.Open() || last.Kind == lexer.Template}
	if len(path) > 1 && !path[len(path)-2].Open() && path[len(path)-2].Kind != lexer.Template {
		t.Schema = path[len(path)-2].Identifier()
	}
	return t
}

// tables are all tables that a star stands for.
func (s *scope) tables() []Table {
	var out []Table
	for _, it := range s.items {
		if !it.other && !it.again && !it.table.system() {
			out = append(out, it.table)
		}
	}
	if s.bare {
		out = append(out, Table{Open: true})
	}
	return out
}

// owners are the tables that a qualifier may mean, as seen from a scope. One that nobody declares may be of a part that is not known.
func (p *parser) owners(path []lexer.Token, s *scope) []Table {
	q := p.table(path)
	if q.Open {
		return []Table{{Open: true}}
	}
	unknown := p.open
	for at := s; at != nil; at = at.outer {
		for _, it := range at.items {
			if it.alias != q.Name || q.Schema != "" && !it.table.May(q) {
				continue
			}
			if it.other || it.table.system() {
				return nil
			}
			return []Table{it.table}
		}
		unknown = unknown || at.bare
	}
	switch {
	case s != nil && len(s.items) > 0 && (q.Name == "old" || q.Name == "new" || q.Name == "excluded"):
		return []Table{s.items[0].table}
	case unknown:
		return []Table{{Open: true}}
	}
	return nil
}
