package query

var (
	updateSet   = set("set")
	deleteUsing = set("using")
	mergeWhen   = set("when")
	valueWords  = set("values select with table")
)

// target goes over the table that a statement writes, and its alias. Where a column list may follow, only AS makes an alias: what is not known may be the list.
func (p *parser) target(i, end int, s *scope, listed bool) (after int, table Table) {
	i = p.skip(i, end, "only")
	if i >= end || !p.isName(i) {
		return i, Table{Open: true}
	}
	path, after := p.path(i, end)
	table = p.table(path)
	it := item{alias: table.Name, table: table}
	p.declarePath(i, after)
	if p.text(after) == "*" {
		after++
	}
	as := after < end && p.word(after) == "as"
	if as {
		after++
	}
	if after < end && p.isName(after) && (as || !listed && !noAlias[p.word(after)]) {
		it.alias = p.tokens[after].Identifier()
		p.declared[after] = true
		after++
	}
	s.items = append(s.items, it)
	return after, table
}

// returning goes over what follows RETURNING at i.
func (p *parser) returning(i, end int, s *scope) {
	if i >= end {
		return
	}
	i++
	if p.word(i) == "with" && p.text(i+1) == "(" { // (OLD AS o, NEW AS n)
		from, to, after := p.inside(i+1, end)
		for ; from < to; from++ {
			p.declared[from] = true
			if p.word(from) == "as" && from+1 < to && len(s.items) > 0 {
				s.items = append(s.items, item{alias: p.tokens[from+1].Identifier(), table: s.items[0].table, again: true})
			}
		}
		i = after
	}
	p.list(Returning, i, end, s, false)
}

func (p *parser) insert(i, end int, outer *scope) {
	s := &scope{outer: outer}
	if p.word(i+1) != "into" {
		return
	}
	name := i + 2
	list, table := p.target(name, end, s, true)
	back := p.findClause(list, end, returning)
	conflict := p.find(list, back, func(i int) bool { return p.word(i) == "on" && p.word(i+1) == "conflict" })
	source := list
	listed := p.text(list) == "(" && !p.isQuery[list]
	if listed && list < end {
		_, _, source = p.inside(list, end)
	}
	if p.word(source) == "overriding" {
		source = min(source+3, end)
	}
	_, after := p.path(name, end)
	if !listed && source < end && (valueWords[p.word(source)] || p.text(source) == "(") && after > name {
		p.report(Insert, name, after, []Table{table})
	}
	p.within(i, source, s)
	p.query(source, conflict, outer, false) // does not see the table that is written
	p.expression(conflict, back, s)
	p.returning(back, end, s)
	p.within(i, end, s)
}

func (p *parser) update(i, end int, outer *scope) {
	s := &scope{outer: outer}
	after, _ := p.target(i+1, end, s, false)
	back := p.findClause(after, end, returning)
	assign := p.findClause(after, back, updateSet)
	from := p.findClause(assign, back, fromAlone)
	p.expression(assign, from, s)
	if from < back {
		p.expression(p.from(from+1, back, s), back, s)
	}
	p.returning(back, end, s)
	p.within(i, end, s)
}

func (p *parser) remove(i, end int, outer *scope) {
	s := &scope{outer: outer}
	i = p.skip(i+1, end, "from")
	after, _ := p.target(i, end, s, false)
	back := p.findClause(after, end, returning)
	using := p.findClause(after, back, deleteUsing)
	rest := after
	if using < back {
		rest = p.from(using+1, back, s)
	}
	p.expression(rest, back, s)
	p.returning(back, end, s)
	p.within(i, end, s)
}

func (p *parser) merge(i, end int, outer *scope) {
	s := &scope{outer: outer}
	begin := i
	i = p.skip(i+1, end, "into")
	after, table := p.target(i, end, s, false)
	back := p.findClause(after, end, returning)
	using := p.findClause(after, back, deleteUsing)
	if using < back {
		after = p.from(using+1, p.findClause(using, back, mergeWhen), s)
	}
	p.expression(after, back, s)
	for ; after < back; after++ {
		if p.clause(after) == "insert" && (p.word(after+1) == "values" || p.word(after+1) == "overriding") {
			p.report(Insert, after, after+1, []Table{table})
		}
	}
	p.returning(back, end, s)
	p.within(begin, end, s)
}

func (p *parser) copy(i, end int, outer *scope) {
	if p.text(i+1) == "(" {
		from, to, _ := p.inside(i+1, end)
		p.query(from, to, outer, false)
		return
	}
	s := &scope{outer: outer}
	name := p.skip(i+1, end, "binary")
	after, table := p.target(name, end, s, true)
	p.within(i, end, s)
	_, behind := p.path(name, end)
	switch {
	case behind == name:
	case p.word(after) == "from":
		p.report(CopyIn, name, behind, []Table{table})
	case p.word(after) == "to":
		p.report(CopyOut, name, behind, []Table{table})
	}
}
