// Package phase names the six phases of a migration and the stamps that say in which of them a row was written.
package phase

import (
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
)

// Phase is where a migration stands. The zero value is no phase, so that a forgotten one is refused.
type Phase int

// The phases, in order; only neighbours follow each other.
const (
	Start    Phase = 1 // wrappers write old, read old
	Expand   Phase = 2 // wrappers write both, read old
	Migrate  Phase = 3 // wrappers write both, read old and compare new
	Switch   Phase = 4 // wrappers write both, read new and compare old
	Contract Phase = 5 // wrappers write new, read new
	Complete Phase = 6 // old, stamp and guard are gone
)

var names = [...]string{Start: "Start", Expand: "Expand", Migrate: "Migrate", Switch: "Switch", Contract: "Contract", Complete: "Complete"}

// All lists the phases in order.
func All() []Phase { return []Phase{Start, Expand, Migrate, Switch, Contract, Complete} }

// Parse returns the phase of that name, exactly as String spells it.
func Parse(name string) (Phase, error) {
	for _, p := range All() {
		if names[p] == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("phase %q: unknown; the phases are Start, Expand, Migrate, Switch, Contract, Complete", name)
}

// Valid tells whether p is one of the six phases.
func (p Phase) Valid() bool { return p >= Start && p <= Complete }

func (p Phase) String() string {
	if !p.Valid() {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return names[p]
}

// MarshalText writes the name, so that JSON and flags show words.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is Parse.
func (p *Phase) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}

// Value stores the name.
func (p Phase) Value() (driver.Value, error) {
	if !p.Valid() {
		return nil, fmt.Errorf("%v: not a phase", p)
	}
	return p.String(), nil
}

// Scan reads what Value stores.
func (p *Phase) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return p.UnmarshalText([]byte(v))
	case []byte:
		return p.UnmarshalText(v)
	}
	return fmt.Errorf("phase: cannot scan %T", src)
}

// WritesOld tells whether wrappers write the old column in this phase.
func (p Phase) WritesOld() bool { return p <= Switch }

// WritesNew tells whether wrappers write the new column in this phase.
func (p Phase) WritesNew() bool { return p >= Expand }

// Stamps tells whether wrappers write the stamp in this phase.
func (p Phase) Stamps() bool { return p >= Expand && p <= Contract }

// ReadsNew tells whether the new column answers reads in this phase.
func (p Phase) ReadsNew() bool { return p >= Switch }

// Compares tells whether a read compares the two columns in this phase.
func (p Phase) Compares() bool { return p == Migrate || p == Switch }

// stampShift leaves 24 random bits under the phase in an int4.
const stampShift = 24

// Stamp returns a fresh stamp of the phase: the phase above 24 random bits. The random bits make every stamped write change
// the stamp, which is how the guard tells it from a stray. Two stamps in a row are equal once in 16.7 million; the
// guard then treats a good write as a stray, which costs time and loses nothing.
func (p Phase) Stamp() int32 { return int32(p)<<stampShift | rand.Int32N(1<<stampShift) }

// Floor is the smallest stamp of the phase: stamps of p lie in [p.Floor(), (p+1).Floor()).
func (p Phase) Floor() int32 { return int32(p) << stampShift }

// StampPhase returns the phase of a stamp.
func StampPhase(stamp int32) Phase { return Phase(stamp >> stampShift) }
