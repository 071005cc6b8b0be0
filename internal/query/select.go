package query

var (
	setOperators = set("union intersect except")
	// afterList are the clauses that end a select list, afterFrom those that end a FROM.
	afterList = set("from into where group having window order limit offset fetch for")
	afterFrom = set("where group having window order limit offset fetch for returning")
	fromAlone = set("from")
	returning = set("returning")
	queries   = set("select with values table insert update delete merge")
)

// query goes over a statement or a subquery. A quiet one is in EXISTS, where it does not matter what is selected.
func (p *parser) query(i, end int, outer *scope, quiet bool) {
	if p.word(i) == "with" {
		s := &scope{outer: outer, with: map[string]bool{}}
		from := i
		i = p.with(i, end, s)
		p.within(from, i, s)
		outer = s
	}
	switch p.word(i) {
	case "insert":
		p.insert(i, end, outer)
	case "update":
		p.update(i, end, outer)
	case "delete":
		p.remove(i, end, outer)
	case "merge":
		p.merge(i, end, outer)
	case "copy":
		p.copy(i, end, outer)
	case "select", "values", "table", "":
		p.selects(i, end, outer, quiet)
	}
}

// with goes over common table expressions, up to the statement that they are for.
func (p *parser) with(i, end int, s *scope) int {
	recursive := p.word(i+1) == "recursive"
	i = p.skip(i+1, end, "recursive")
	for i < end {
		name := ""
		if p.isName(i) && !queries[p.word(i)] {
			name = p.tokens[i].Identifier()
			p.declared[i] = true
			i = p.declare(i+1, end)
		}
		if recursive {
			s.with[name] = true
		}
		i = p.skip(i, end, "as", "not", "materialized")
		if p.text(i) == "(" && name != "" {
			from, to, after := p.inside(i, end)
			p.query(from, to, s, false)
			i = after
		}
		s.with[name] = true
		i = p.find(i, end, func(i int) bool { return p.text(i) == "," || p.text(i) == "(" || queries[p.clause(i)] })
		if p.text(i) != "," {
			return i
		}
		i++
	}
	return i
}

// declare goes over a list of names in parentheses, if there is one, which the statement gives to columns.
func (p *parser) declare(i, end int) int {
	if p.text(i) != "(" || i >= end {
		return i
	}
	from, to, after := p.inside(i, end)
	for ; from < to; from++ {
		p.declared[from] = true
	}
	return after
}

// selects goes over one SELECT, or several with UNION and the like between them.
func (p *parser) selects(i, end int, outer *scope, quiet bool) {
	for i < end {
		stop := p.findClause(i, end, setOperators)
		s := &scope{outer: outer}
		switch {
		case p.word(i) == "select":
			p.selection(i+1, stop, s, quiet)
		case p.text(i) == "(":
			from, to, after := p.inside(i, stop)
			p.query(from, to, outer, quiet)
			p.expression(after, stop, s)
		case p.word(i) == "table":
			p.item(i+1, stop, s)
			p.star(Star, i, i+1, s.tables(), quiet)
		default:
			p.expression(i, stop, s)
		}
		p.within(i, stop, s)
		i = p.skip(stop+1, end, "all", "distinct")
	}
}

// selection goes over what follows SELECT.
func (p *parser) selection(i, end int, s *scope, quiet bool) {
	i = p.skip(i, end, "all", "distinct")
	list := i
	if p.word(i-1) == "distinct" && p.word(i) == "on" && p.text(i+1) == "(" {
		_, _, list = p.inside(i+1, end)
		p.expression(i, list, s)
	}
	stop := p.findClause(list, end, afterList)
	from := p.findClause(stop, end, fromAlone)
	rest := end
	if from < end {
		rest = p.from(from+1, end, s)
	}
	s.bare = len(s.items) == 0 && (rest == len(p.tokens) || p.open)
	p.list(Star, list, stop, s, quiet)
	if from < end {
		p.expression(rest, end, s)
	} else {
		p.expression(stop, end, s)
	}
}

// list goes over a select list, or that of RETURNING, and reports its stars.
func (p *parser) list(r Rule, i, end int, s *scope, quiet bool) {
	for begin := i; begin < end; {
		comma := p.find(begin, end, func(i int) bool { return p.text(i) == "," })
		path, after := p.path(begin, comma)
		switch {
		case begin == comma:
		case p.text(begin) == "*" && p.ends(begin+1, comma):
			p.star(r, begin, begin+1, s.tables(), quiet)
		case len(path) > 0 && after+1 < comma && p.text(after) == "." && p.text(after+1) == "*" && p.ends(after+2, comma):
			p.star(r, begin, after+2, p.owners(path, s), quiet)
		case p.tokens[begin].Open() && p.text(begin+1) == "*" && begin+2 == comma && comma < len(p.tokens): // a DISTINCT, perhaps: what would be multiplied is not there
			p.star(r, begin+1, comma, s.tables(), quiet)
		}
		begin = comma + 1
	}
	p.expression(i, end, s)
}

// ends tells whether an item of a list may end before i, as it must after a star: before a word it is no SQL.
func (p *parser) ends(i, end int) bool { return i == end || p.tokens[i].Open() }

func (p *parser) star(r Rule, i, end int, tables []Table, quiet bool) {
	if !quiet {
		p.report(r, i, end, tables)
	}
}

// expression goes over anything else, for the subqueries in it.
func (p *parser) expression(i, end int, s *scope) {
	for ; i < end; i++ {
		if p.text(i) != "(" {
			continue
		}
		from, to, after := p.inside(i, end)
		if p.isQuery[i] {
			p.query(from, to, s, p.word(i-1) == "exists")
		} else {
			p.expression(from, to, s)
		}
		i = after - 1
	}
}
