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

	columns []string // of all fields
	rest    []string // of all but the key
}

// field is one column of the model.
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
}

// mapper is sqlx's own default: the db tag, else the field's name in lower case.
var mapper = reflectx.NewMapperFunc("db", strings.ToLower)

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
	first := pairs[0].Definition()
	m := &model{table: first.Table, key: first.Key}
	for _, p := range pairs {
		if d := p.Definition(); d.Table != m.table || !slices.Equal(d.Key, m.key) {
			return nil, fmt.Errorf("repository of %v: pair %s has another table or key than %s", t, p.Name(), pairs[0].Name())
		}
	}
	if err := m.addFields(t, pairs); err != nil {
		return nil, fmt.Errorf("repository of %v: %w", t, err)
	}
	return m, nil
}

func (m *model) addFields(t reflect.Type, pairs []Any) error {
	for _, info := range mapper.TypeMap(t).Index {
		if info.Embedded || info.Path == "" || strings.Contains(info.Path, ".") {
			continue
		}
		f := field{name: info.Path, index: info.Index, pair: -1}
		f.generated = slices.Contains(strings.Split(info.Field.Tag.Get("tandem"), ","), "default")
		for _, p := range pairs {
			d := p.Definition()
			if m.forbids(d, f.name) {
				return fmt.Errorf("field %s is the old or the stamp column of pair %s: the model has the new shape only", f.name, p.Name())
			}
			if f.name != d.New[0] {
				continue
			}
			if f.generated {
				return fmt.Errorf("field %s: a pair cannot be left to the database's default: set the value", f.name)
			}
			b, err := p.bind(info.Field.Type)
			if err != nil {
				return err
			}
			f.pair = len(m.pairs)
			m.pairs = append(m.pairs, bound{binding: b, def: d, name: p.Name(), fingerprint: d.Fingerprint()})
		}
		m.fields = append(m.fields, f)
	}
	m.columns = make([]string, len(m.fields))
	for i := range m.fields {
		m.columns[i] = m.fields[i].name
	}
	m.rest = without(m.columns, m.key)
	return m.complete(pairs)
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

func (m *model) field(name string) *field {
	for i := range m.fields {
		if m.fields[i].name == name {
			return &m.fields[i]
		}
	}
	return nil
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
