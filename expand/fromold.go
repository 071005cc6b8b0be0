package expand

import "github.com/tandem-go/tandem/switchover"

// ValueFromOld makes the value to write out of an old value: old as it is given as long as the phase writes old, new as forward makes it, and a fresh stamp. It is how a pair
// without Backward is written in every phase: a password becomes a hash, and no hash a password.
func (f *Pinned[O, N]) ValueFromOld(o O) (Value[O, N], error) {
	var out Value[O, N]
	if f.write.WritesOld() {
		out.Old = f.pair.old.encode(o)
	}
	if f.write.WritesNew() {
		n, err := f.pair.Forward(o)
		if err != nil {
			return Value[O, N]{}, err
		}
		out.New = f.pair.new.encode(n)
	}
	if f.write.Stamps() {
		out.Stamp = Stamp(f.write.Stamp())
	}
	return out, nil
}

// ArgFromOld converts an old value to an argument for Column: itself while old is read, after that forward of it.
func (f *Pinned[O, N]) ArgFromOld(o O) (any, error) {
	if !f.read.ReadsNew() && !f.pair.def.IsSet() {
		return argument(o), nil
	}
	n, err := f.pair.Forward(o)
	if err != nil {
		return nil, err
	}
	return f.pair.argument(switchover.Switch, n)
}
