package expand

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx/reflectx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/switchover"
)

// model is what a repository knows of its struct type: fields by column, and which of them are pairs.
type model struct {
	table  ident.Table
	key    []string
	fields []field
	pairs  []bound // in the order of the fields

	replaced *Replacement // the table is being replaced, and there are no pairs; else nil

	columns []string // of all fields
	rest    []string // of all but the key
	width   int      // of a row in the phase that writes most, in parameters
}

// field is one column of the model, or all that make up the new side of a pair; it then has the name of the first.
type field struct {
	name      string
	index     []int
	generated bool // tag `tandem:"default"`: left to the database while it is zero
	pair      int  // index in model.pairs, -1 for an ordinary column
}

// bound is a pair together with its field.
type bound struct {
	binding
	def         pair.Definition
	name        string
	fingerprint string

	typ   reflect.Type // of new
	parts []part       // of a column set: its fields in the model
}

// part is one column of a set: where it is in the model and where in the value of new.
type part struct{ model, value []int }

// newModel checks a struct type against the pairs it holds.
func newModel(t reflect.Type, pairs []Any) (*model, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("repository of %v: not a struct", t)
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("repository of %v: without a pair there is nothing to migrate: use sqlx alone", t)
	}
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("repository of %v: %d pairs, at most %d", t, len(pairs), maxPairs)
	}
	for _, p := range pairs {
		if err := p.Err(); err != nil {
			return nil, fmt.Errorf("repository of %v: %w", t, err)
		}
	}
	if slices.ContainsFunc(pairs, func(p Any) bool { return p.Definition().Replaces() }) {
		return newReplacedModel(t, pairs)
	}
	first := pairs[0].Definition()
	m := &model{table: first.Table, key: first.Key}
	for _, p := range pairs {
		if d := p.Definition(); d.Table != m.table || !slices.Equal(d.Key, first.Key) {
			return nil, fmt.Errorf("repository of %v: pair %s has another table or key than %s", t, p.Name(), pairs[0].Name())
		}
	}
	if first.Keyless() {
		m.key = nil
	}
	if err := m.addFields(t, pairs); err != nil {
		return nil, fmt.Errorf("repository of %v: %w", t, err)
	}
	return m, nil
}

func (m *model) addFields(t reflect.Type, pairs []Any) error {
	list, err := fieldsOf(t)
	if err != nil {
		return err
	}
	for _, info := range list {
		f := field{name: info.Path, index: info.Index, pair: -1, generated: isGenerated(info)}
		of, err := m.pairOf(f.name, pairs)
		if err != nil {
			return err
		}
		if of != nil {
			if f.name != of.Definition().New[0] {
				continue // the first column of a set stands for all
			}
			b, err := bindFields(of, list)
			if err != nil {
				return err
			}
			f.pair = len(m.pairs)
			m.pairs = append(m.pairs, b)
			m.width += len(b.def.Columns()) - 1
		}
		m.fields = append(m.fields, f)
		m.width++
	}
	m.columns = make([]string, len(m.fields))
	for i := range m.fields {
		m.columns[i] = m.fields[i].name
	}
	m.rest = without(m.columns, m.key)
	return m.complete(pairs)
}

func isGenerated(info *reflectx.FieldInfo) bool {
	return slices.Contains(strings.Split(info.Field.Tag.Get("tandem"), ","), "default")
}

// pairOf finds the pair that a column is new of; nil for an ordinary column.
func (m *model) pairOf(column string, pairs []Any) (Any, error) {
	for _, p := range pairs {
		if m.forbids(p.Definition(), column) {
			return nil, fmt.Errorf("field %s is the old or the stamp column of pair %s: the model has the new shape only", column, p.Name())
		}
	}
	for _, p := range pairs {
		if slices.Contains(p.Definition().New, column) {
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // of no pair, which is no error
}

// bindFields finds the fields of a pair's new columns, which must have the types that the pair has for them.
func bindFields(p Any, list []*reflectx.FieldInfo) (bound, error) {
	d := p.Definition()
	b := bound{binding: p.bind(), def: d, name: p.Name(), fingerprint: d.Fingerprint(), typ: p.newType()}
	want := b.binding.parts()
	for i, name := range d.New {
		info := fieldOf(list, name)
		if info == nil {
			return b, fmt.Errorf("pair %s: no field for its new column %s", p.Name(), ident.Quote(name))
		}
		typ := b.typ
		if want != nil {
			typ = want[i].Type
			b.parts = append(b.parts, part{model: info.Index, value: want[i].Index})
		}
		switch {
		case isGenerated(info):
			return b, fmt.Errorf("field %s: a pair cannot be left to the database's default: set the value", name)
		case info.Field.Type != typ:
			return b, fmt.Errorf("pair %s has type %v for column %s, the model's field is %v: make them one", p.Name(), typ, ident.Quote(name), info.Field.Type)
		}
	}
	return b, nil
}

// gather returns a pointer to the new value of a pair in a row: its field, or what its fields make up.
func (b *bound) gather(row reflect.Value, f *field) any {
	if b.parts == nil {
		return address(row, f)
	}
	v := reflect.New(b.typ)
	for _, p := range b.parts {
		fieldAt(v.Elem(), p.value).Set(fieldAt(row, p.model))
	}
	return v.Interface()
}

// scatter stores what gather returned and a reader has filled.
func (b *bound) scatter(row reflect.Value, v any) {
	for _, p := range b.parts {
		fieldAt(row, p.model).Set(fieldAt(reflect.ValueOf(v).Elem(), p.value))
	}
}

// forbids tells whether a field of that name would be of a column that the pair hides. In another table new may have the name of old, and the stamp one of this table.
func (m *model) forbids(d pair.Definition, name string) bool {
	if d.Moved() {
		return slices.Contains(d.Old, name) && !slices.Contains(d.New, name)
	}
	return slices.Contains(d.Old, name) || name == d.Stamp
}

// maxFields is what fits the mask of fields that an INSERT leaves to the database.
const maxFields = 64

func (m *model) complete(pairs []Any) error {
	if len(m.fields) > maxFields {
		return fmt.Errorf("%d fields, at most %d", len(m.fields), maxFields)
	}
	if len(m.pairs) != len(pairs) {
		return fmt.Errorf("of %d pairs %d have a field: give each pair a field with its new column as db tag", len(pairs), len(m.pairs))
	}
	for _, k := range m.key {
		if m.field(k) == nil {
			return fmt.Errorf("no field for key column %s", ident.Quote(k))
		}
	}
	return nil
}

// zeros has a bit for each field that is zero and left to the database.
func (m *model) zeros(v reflect.Value) (mask uint64) {
	for i := range m.fields {
		if f := &m.fields[i]; f.generated && reflect.ValueOf(address(v, f)).Elem().IsZero() {
			mask |= 1 << i
		}
	}
	return mask
}

// given are all columns but the key and those of zeros. A pair is always among them.
func (m *model) given(zeros uint64) []string {
	if zeros == 0 {
		return m.rest
	}
	return without(m.rest, m.returned(zeros))
}

// field finds a column's field; each new column of a set has that of the set.
func (m *model) field(name string) *field {
	for i := range m.fields {
		f := &m.fields[i]
		if f.name == name || f.pair >= 0 && slices.Contains(m.pairs[f.pair].def.New, name) {
			return f
		}
	}
	return nil
}

// fold puts a set, which must be named whole, in the place of its columns.
func (m *model) fold(columns []string) ([]string, error) {
	var out []string
	for _, c := range columns {
		f := m.field(c)
		if f == nil {
			return nil, fmt.Errorf("%s is not a column of the model", ident.Quote(c))
		}
		if f.pair >= 0 {
			if missing := without(m.pairs[f.pair].def.New, columns); len(missing) > 0 {
				return nil, fmt.Errorf("%s without %s: the columns of pair %s are written together: name them all", ident.Quote(c), ident.List("", missing), m.pairs[f.pair].name)
			}
		}
		if !slices.Contains(out, f.name) {
			out = append(out, f.name)
		}
	}
	return out, nil
}

// phases are the pinned phases of a model's pairs, three bits to write in and three to read in for each: comparable, and no allocation.
type phases uint64

// maxPairs is what fits.
const maxPairs = 10

func (p phases) write(i int) switchover.Phase { return switchover.Phase(p >> (6 * i) & 7) }
func (p phases) read(i int) switchover.Phase  { return switchover.Phase(p >> (6*i + 3) & 7) }

// pinnedPhases reads the phases and refuses a declaration other than the one the migration runs with.
func pinnedPhases(pin switchover.Pin, pairs []bound) (phases, error) {
	var p phases
	for i := range pairs {
		w, r, err := pinnedPhase(pin, pairs[i].name, pairs[i].fingerprint, &pairs[i].def)
		if err != nil {
			return p, err
		}
		p |= phases(w)<<(6*i) | phases(r)<<(6*i+3)
	}
	return p, nil
}

// pinnedPhase returns the phase to write in and the phase to read in. They differ where a migration is registered and still in Start: its columns
// exist, so a read can obey the stamp, and is right even if the migration has long moved on. They also differ in a Switch in which only a share of the keys is
// read from new: it reads as Migrate does, but for rows of that share.
func pinnedPhase(pin switchover.Pin, name, fingerprint string, d *Definition) (write, read switchover.Phase, err error) {
	write = pin.Phase(name)
	read = write
	switch known := pin.Fingerprint(name); {
	case known == "":
		return write, read, pin.Check(*d)
	case known != fingerprint:
		return 0, 0, pin.Check(*d)
	}
	switch {
	case read == switchover.Start:
		read = switchover.Expand
	case pin.Partial(name):
		read = switchover.Migrate
	}
	return write, read, nil
}
