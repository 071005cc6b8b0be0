package expand

import (
	"fmt"
	"reflect"

	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/switchover"
)

// binding joins a pair to a field of a model, with the types erased.
type binding interface {
	// write appends the arguments for writeColumns of the phase. field is a pointer to the model's field.
	write(ph switchover.Phase, field any, stamp int32, args []any) ([]any, error)
	// writeThere appends the arguments for the columns of another table that the phase writes.
	writeThere(ph switchover.Phase, field any, stamp int32, args []any) []any
	// read returns a reader for the rows of one query.
	read(ph switchover.Phase) columnReader
	// argument converts a value of new to one for filterColumns of the phase.
	argument(ph switchover.Phase, value any) (any, error)
}

// columnReader turns storedColumns into a field, row after row.
type columnReader interface {
	destinations(to []any) []any
	// finish fills the field by the reader's rule of a phase, which need not be that of the next row.
	finish(ph switchover.Phase, field any) (seen, error)
}

func (p *Pair[O, N]) bind(field reflect.Type) (binding, error) {
	if want := reflect.TypeFor[N](); field != want {
		return nil, fmt.Errorf("pair %s has new type %v, the model's field is %v: make them one", p.Name(), want, field)
	}
	return p, nil
}

func (p *Pair[O, N]) write(ph switchover.Phase, field any, stamp int32, args []any) ([]any, error) {
	v := *field.(*N) //nolint:errcheck // bind has checked the field's type
	boxed := argument(v)
	if ph.WritesOld() {
		if p.def.Identity() {
			args = append(args, boxed)
		} else {
			o, err := p.Backward(v)
			if err != nil {
				return nil, err
			}
			args = append(args, argument(o))
		}
	}
	if p.def.Moved() {
		return args, nil
	}
	if ph.WritesNew() {
		args = append(args, boxed)
	}
	if ph.Stamps() {
		args = append(args, int64(stamp))
	}
	return args, nil
}

func (p *Pair[O, N]) argument(ph switchover.Phase, value any) (any, error) {
	v, ok := value.(N)
	if !ok {
		return nil, fmt.Errorf("pair %s: an argument of type %T, want %v", p.Name(), value, reflect.TypeFor[N]())
	}
	if ph.ReadsNew() || p.def.Identity() {
		return argument(v), nil
	}
	o, err := p.back(v)
	return argument(o), err
}

func (p *Pair[O, N]) read(ph switchover.Phase) columnReader {
	return &rowReader[O, N]{pair: p, phase: ph}
}

// rowReader applies the reader's rule, row after row.
type rowReader[O, N any] struct {
	pair  *Pair[O, N]
	phase switchover.Phase
	row   Value[O, N]
}

func (r *rowReader[O, N]) destinations(to []any) []any {
	r.row = Value[O, N]{}
	switch r.phase {
	case switchover.Start:
		return append(to, &r.row.Old)
	case switchover.Complete:
		return append(to, &r.row.New)
	default:
		return append(to, &r.row.Old, &r.row.New, &r.row.Stamp)
	}
}

func (r *rowReader[O, N]) finish(ph switchover.Phase, field any) (seen, error) {
	v, noticed, err := r.pair.resolve(ph, r.row)
	if err != nil {
		return noticed, err
	}
	*field.(*N) = v //nolint:errcheck // bind has checked the field's type
	return noticed, nil
}

// Argument is a value of a pair in a filter; it becomes an argument for the column that the phase reads.
type Argument struct {
	pair  pair.Definition
	value any
}

// Arg makes a filter's argument out of a new value: `WHERE {full_name} = $1`, FullName.Arg("Ada"). Where the phase still reads old, the argument is
// backward of it, so a comparison by < or LIKE means the same only if the conversion keeps order or shape.
func (p *Pair[O, N]) Arg(v N) Argument { return Argument{pair: p.def, value: v} }
