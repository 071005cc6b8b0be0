package expand

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// newReplacedModel checks a struct type against a replaced table. Up to Switch its columns are written to the old table by their names, so that they must be the same there.
func newReplacedModel(t reflect.Type, pairs []Any) (*model, error) {
	r, ok := pairs[0].(*Replacement)
	if !ok || len(pairs) > 1 {
		return nil, fmt.Errorf("repository of %v: a replaced table has no pairs besides: finish one migration before the other", t)
	}
	m := &model{table: r.def.Into, key: r.def.IntoKey, replaced: r}
	if err := m.addFields(t, nil); err != nil {
		return nil, fmt.Errorf("repository of %v: %w", t, err)
	}
	for _, c := range m.columns {
		if slices.Contains(r.def.New, c) || slices.Contains(r.def.Old, c) {
			return nil, fmt.Errorf("repository of %v: column %s is not the same in %s: write its SQL by hand, with Replacement.Do and its Tables", t, ident.Quote(c), r.def.Table)
		}
	}
	return m, nil
}

// pinned reads the phases of the pairs, or of the table.
func (m *model) pinned(pin switchover.Pin) (phases, error) {
	if m.replaced == nil {
		return pinnedPhases(pin, m.pairs)
	}
	ph, _, err := pinnedPhase(pin, m.replaced.def.Name(), m.replaced.fingerprint, &m.replaced.def)
	return phases(ph) | phases(ph)<<3, err
}

// reads is the table to read, which goes by the new one's name in every phase.
func (m *model) reads(p phases) string {
	if m.replaced == nil {
		return m.table.SQL()
	}
	return m.replaced.in(p.read(0)).From() + " AS " + ident.Quote(m.table.Name)
}

// writes is the table to write.
func (m *model) writes(p phases) string {
	if m.replaced == nil {
		return m.table.SQL()
	}
	return m.replaced.in(p.write(0)).Into()
}

// refuseConflict refuses the key as what decides a conflict where the two tables have different ones.
func (m *model) refuseConflict() error {
	if m.replaced == nil || slices.Equal(slices.Sorted(slices.Values(m.key)), slices.Sorted(slices.Values(m.replaced.def.Key))) {
		return nil
	}
	return fmt.Errorf("%s has the key (%s) and %s (%s): name columns that are unique in both, or write its SQL by hand", m.table, ident.List("", m.key),
		m.replaced.def.Table, ident.List("", m.replaced.def.Key))
}
