package expand

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/pair"
)

// Errors that callers branch on with errors.Is.
var (
	// ErrNull: a column is NULL where the pair's Go type has no NULL. Declare the pair with a pointer or an sql.Null.
	ErrNull = errors.New("NULL, and the pair's type has none: declare it with *T or sql.Null[T]")
	// ErrNoBackward: the phase writes old, and the pair cannot turn new into old.
	ErrNoBackward = errors.New("the pair has no backward conversion")
	// ErrLossy: old cannot hold this value of new.
	ErrLossy = errors.New("old cannot hold this value")
)

// Definition is the plain data of a pair: names and SQL expressions.
type Definition = pair.Definition

// Pair is a column, or a set of columns, that is being replaced by another: O is the Go type of old, N that of new. Declare it once, as a variable of
// the package that owns the table, with Rename, Convert or ConvertSet. A pair is immutable and safe for concurrent use.
//
// A declaration that makes no sense is reported by Err and by everything that the pair is given to.
//
// Two values of new are equal when Equal says so, by default by what is stored: in Go member by member, an instant in any zone, NaN equal to itself, -0 not 0,
// nil ([]byte, slices, pointers: NULL) not empty; in SQL by the stored image, so that numeric 1.0 and 1.00 differ, as do strings that a collation calls equal.
type Pair[O, N any] struct {
	def      pair.Definition
	old      columns[O]
	new      columns[N]
	forward  func(O) (N, error)
	backward func(N) (O, error)
	equal    func(a, b N) bool
	err      error

	name, fingerprint string // of def
}

// Spec declares a pair whose values convert.
type Spec[O, N any] struct {
	Table string   // `users`, `app.users` or `app."My.Users"`; the schema defaults to public
	Key   []string // the columns of the primary key, or of a plain unique index of NOT NULL columns; NoKey where there is none; defaults to id
	Old   string   // today's column
	New   string   // the column that replaces it
	Type  string   // SQL type of new; defaults to type and collation of old

	To    string   // the table that new is in, if it is another than Table: see "Another table" in the package's documentation
	ToKey []string // the columns of To that hold Key, in its order; defaults to Key

	Forward  func(O) (N, error) // old value to new; must depend on its argument alone
	Backward func(N) (O, error) // new value to old, such that forward leads back, else ErrLossy; without it phases that write old refuse to write

	// The same conversions as SQL expressions, with the column in braces: `round({price} * 100)`. Names of functions and types outside
	// pg_catalog need their schema. With ForwardSQL the guard repairs strays at once and the backfill runs inside the server.
	ForwardSQL  string
	BackwardSQL string

	Equal func(a, b N) bool // defaults to equal bytes, see Pair
}

// Rename declares a pair of two columns of the same type: user_name becomes full_name. T is a pointer or an sql.Null where
// the column may be NULL. key names the columns of the key, as Spec.Key does, and defaults to id.
func Rename[T any](table, from, to string, key ...string) *Pair[T, T] {
	same := func(v T) (T, error) { return v, nil }
	return Convert(Spec[T, T]{Table: table, Key: key, Old: from, New: to, Forward: same, Backward: same,
		ForwardSQL: fragment.Placeholder(from), BackwardSQL: fragment.Placeholder(to)})
}

// Convert declares a pair whose values convert, such as price double precision to price_cents bigint.
func Convert[O, N any](s Spec[O, N]) *Pair[O, N] {
	spec := SetSpec[O, N]{Table: s.Table, Key: s.Key, Old: []Column{{Name: s.Old, SQL: s.BackwardSQL}}, New: []Column{{Name: s.New, Type: s.Type, SQL: s.ForwardSQL}},
		Forward: s.Forward, Backward: s.Backward, Equal: s.Equal}
	return declared(spec, s.To, s.ToKey)
}

// Name is the migration's name: what switchover.Advance is given, what errors and the state tables show. `users.full_name`.
func (p *Pair[O, N]) Name() string { return p.name }

// Definition returns the plain data of the pair.
func (p *Pair[O, N]) Definition() Definition { return p.def }

// Err reports what is wrong with the declaration, nil when nothing is.
func (p *Pair[O, N]) Err() error { return p.err }

// Forward turns an old value into a new one, as the backfill and every read of an unstamped row do.
func (p *Pair[O, N]) Forward(v O) (N, error) {
	n, err := p.forward(v)
	if err != nil {
		return n, fmt.Errorf("%s: forward of %v: %w", p.Name(), shown(v), err)
	}
	return n, nil
}

// Backward turns a new value into an old one, as every write up to Switch does. ErrNoBackward without a conversion; ErrLossy when forward makes another value of what it
// returns, for then the two columns would not agree.
func (p *Pair[O, N]) Backward(v N) (O, error) {
	o, err := p.back(v)
	if err != nil || p.def.Identity() {
		return o, err
	}
	if again, err := p.Forward(o); err != nil || !p.equal(again, v) {
		return o, errors.Join(fmt.Errorf("%s: backward of %v is %v, and forward of that %v: %w", p.Name(), shown(v), shown(o), shown(again), ErrLossy), err)
	}
	return o, nil
}

// back is Backward without the way back, for an argument that is only compared.
func (p *Pair[O, N]) back(v N) (O, error) {
	if p.backward == nil {
		var none O
		return none, fmt.Errorf("%s: %w", p.Name(), ErrNoBackward)
	}
	o, err := p.backward(v)
	if err != nil {
		return o, fmt.Errorf("%s: backward of %v: %w", p.Name(), shown(v), err)
	}
	return o, nil
}

// Any is a pair of whatever types; *Pair is the only implementation.
type Any interface {
	Name() string
	Definition() Definition
	Err() error
	// Conversion returns the Go conversions with their types erased, for package backfill.
	Conversion() Conversion

	bind() binding
	newType() reflect.Type
}

// Conversion is a pair's Go code with the types erased.
type Conversion struct {
	ScanOld  func() any                       // room for an old value
	ScanNew  func() any                       // room for a new value
	Old      func(scanned any) []any          // the scan destinations in what ScanOld made, one for each old column
	New      func(scanned any) []any          // the same of ScanNew
	Args     func(old any) []any              // an argument for each old column, of a value of old's Go type
	Forward  func(scanned any) ([]any, error) // of what ScanOld scanned, to an argument for each new column
	Backward func(scanned any) ([]any, error) // of what ScanNew scanned, to an argument for each old column
	Equal    func(old, new any) (bool, error) // whether new, from ScanNew, is forward of old, from ScanOld
	Returns  func(new any) (bool, error)      // whether new, from ScanNew, comes back: is forward of backward of it; nil without backward
}

// erased undoes the erasure: only what ScanOld and ScanNew made comes back.
func erased[T any](scanned any) Cell[T] { return *scanned.(*Cell[T]) } //nolint:errcheck // see above

// Conversion returns the Go conversions with their types erased.
func (p *Pair[O, N]) Conversion() Conversion {
	c := Conversion{
		ScanOld: func() any { return new(Cell[O]) },
		ScanNew: func() any { return new(Cell[N]) },
		Old:     func(scanned any) []any { return p.old.destinations(nil, scanned.(*Cell[O])) }, //nolint:errcheck // only what ScanOld made
		New:     func(scanned any) []any { return p.new.destinations(nil, scanned.(*Cell[N])) }, //nolint:errcheck // only what ScanNew made
		Args:    func(old any) []any { return p.old.arguments(nil, old.(O)) },                   //nolint:errcheck // as documented
		Forward: func(scanned any) ([]any, error) {
			n, err := p.forwardCell(erased[O](scanned))
			return p.new.arguments(nil, n), err
		},
		Equal: func(old, new any) (bool, error) {
			want, err := p.forwardCell(erased[O](old))
			if err != nil {
				return false, err
			}
			have, err := p.new.decode(erased[N](new))
			return err == nil && p.equal(want, have), nil
		},
	}
	if p.backward != nil {
		c.Backward = func(scanned any) ([]any, error) {
			n, err := p.new.decode(erased[N](scanned))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name(), err)
			}
			o, err := p.Backward(n)
			return p.old.arguments(nil, o), err
		}
		if !p.def.Identity() {
			c.Returns = func(scanned any) (bool, error) {
				n, err := p.new.decode(erased[N](scanned))
				if err == nil {
					_, err = p.Backward(n)
				}
				return err == nil, err
			}
		}
	}
	return c
}

// forwardCell is forward of a column as it was read, NULL included.
func (p *Pair[O, N]) forwardCell(c Cell[O]) (N, error) {
	o, err := p.old.decode(c)
	if err != nil {
		var none N
		return none, fmt.Errorf("%s: %w", p.Name(), err)
	}
	return p.Forward(o)
}
