package expand

import (
	"database/sql"
	"fmt"
	"reflect"

	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/switchover"
)

// binding joins a pair to a field of a model, with the types erased. field is a pointer to the model's field, or to a value of new that is gathered from fields.
type binding interface {
	// parts are the fields of new where it is a set, one for each new column; else nil.
	parts() []reflect.StructField
	// write appends the arguments for writeColumns of the phase.
	write(ph switchover.Phase, field any, stamp int32, args []any) ([]any, error)
	// read returns a reader for the rows of one query.
	read(ph switchover.Phase) columnReader
	// argument converts a value of new to one for filter in the phase.
	argument(ph switchover.Phase, value any) (any, error)
}

// columnReader turns storedColumns into a field, row after row.
type columnReader interface {
	destinations(to []any) []any
	// finish fills the field by the reader's rule of a phase, which need not be that of the next row.
	finish(ph switchover.Phase, field any) (seen, error)
}

func (p *Pair[O, N]) bind() binding { return p }

func (p *Pair[O, N]) parts() (out []reflect.StructField) {
	for _, index := range p.new.index {
		out = append(out, reflect.TypeFor[N]().FieldByIndex(index))
	}
	return out
}

func (p *Pair[O, N]) newType() reflect.Type { return reflect.TypeFor[N]() }

func (p *Pair[O, N]) write(ph switchover.Phase, field any, stamp int32, args []any) ([]any, error) {
	v := *field.(*N) //nolint:errcheck // the model has checked the field's type
	first := len(args)
	if ph.WritesOld() && !p.def.Identity() {
		o, err := p.Backward(v)
		if err != nil {
			return nil, err
		}
		args = p.old.arguments(args, o)
	}
	if ph.WritesNew() || p.def.Identity() {
		args = p.new.arguments(args, v)
	}
	if ph.WritesOld() && ph.WritesNew() && p.def.Identity() {
		args = append(args, args[first]) // old and new are the same one value
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
	switch {
	case p.new.index != nil:
		return nil, fmt.Errorf("pair %s: new is a column set: pass the value of the one column as it is", p.Name())
	case ph.ReadsNew() || p.def.Identity() || p.def.IsSet():
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
	p := r.pair
	r.row.Old.null, r.row.New.null, r.row.Stamp = sql.Null[O]{}, sql.Null[N]{}, 0 // a Scanner may add to what it finds
	switch r.phase {
	case switchover.Start:
		return p.old.destinations(to, &r.row.Old)
	case switchover.Complete:
		return p.new.destinations(to, &r.row.New)
	default:
		to = p.old.destinations(to, &r.row.Old)
		return append(p.new.destinations(to, &r.row.New), &r.row.Stamp)
	}
}

func (r *rowReader[O, N]) finish(ph switchover.Phase, field any) (seen, error) {
	v, noticed, err := r.pair.resolve(ph, &r.row)
	if err != nil {
		return noticed, err
	}
	*field.(*N) = v //nolint:errcheck // the model has checked the field's type
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
