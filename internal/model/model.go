// Package model is the protocol as a small state machine: one row, its phase, its guard, and the actors that race for it. It is explored exhaustively by its test, and
// takes the ranges of stamps and who writes what from the packages that the product uses.
//
// # Bounds
//
// One row (or its absence), two columns whose values are the names of who wrote them, and six actors, each of which acts for ever, one transaction of one
// statement at a time, at READ COMMITTED: two wrappers, each pinned to any phase that the migration has ever been in (a zombie is one that stays there), an old binary
// that knows only old, a program that writes only new, a backfill, and an operator who takes any step that the gates allow, forth and back, as often as he likes.
// Nothing else is bounded: the reachable states are finite. Random stamps are taken to differ. Members and acknowledgements are left out, because no safety depends on
// them; filters and several rows too. A test sends every statement on every row to the real triggers, and the model's guard must do as they do.
package model

import (
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/phase"
)

// Config is the kind of the pair, and what is broken on purpose.
type Config struct {
	Forward, Backward bool // SQL can convert, so the guard can repair
	Inserted          bool // the row is not there at the start

	NoGuard    bool // no triggers at all
	NoCompare  bool // the backfill's write-back does not compare the value that was read
	NoTodo     bool // the backfill's write-back does not look at the stamp
	PhaseFirst bool // the phase is set before the guard is exchanged, in a transaction of its own
	NoSwapLock bool // the swap does not wait for writers
	NotBetween bool // the reject guard says NOT BETWEEN, which is NULL for a NULL stamp
	ByValue    bool // the reject guard looks for changed values, not for written columns
	StaleNew   bool // where only Go converts, a stray's row keeps its outdated new
	NoFence    bool // the repair guard lets stamps of any phase pass
	BlindReads bool // readers believe their phase whatever the stamp says
}

// Values: who wrote. None is NULL.
const (
	none uint8 = iota
	initial
	wrapperA
	wrapperB
	oldBinary
	newOnly
)

// row is what one version of the row holds; stamp 0 is NULL.
type row struct {
	exists   bool
	old, new uint8
	stamp    phase.Phase
}

// actor's number is the value that it writes; the backfill writes nobody's.
const (
	backfill = 6
	nobody   = 0
)

// State is one moment.
type State struct {
	row   row
	want  uint8 // the value of the last acknowledged write
	dirty bool

	phase, highest phase.Phase
	guard          guard.Mode
	pin            [2]phase.Phase // of the wrappers; 0: idle

	// The transaction that holds the row's lock, and what it will commit.
	owner        uint8
	pending      row
	pendingWant  uint8
	pendingDirty bool

	// The backfill between its read and its write.
	read      bool
	seen      uint8
	fillStamp phase.Phase
}

// Start is the state after expand.Apply.
func Start(c Config) State {
	s := State{row: row{exists: true, old: initial}, want: initial, phase: phase.Start, highest: phase.Start, guard: guard.Repair}
	if c.Inserted {
		s.row, s.want = row{}, none
	}
	if c.NoGuard {
		s.guard = guard.None
	}
	return s
}

// Step is one thing that may happen next.
type Step struct {
	Name string
	To   State
}

// Next lists everything that may happen next. refused are actions of a well-behaved actor in the admitted phase that the guard refused.
func (s State) Next(c Config) (steps []Step, refused []string) {
	add := func(name string, to State) { steps = append(steps, Step{name, to}) }
	if s.phase == phase.Complete {
		return nil, nil // old, stamp and guard are gone
	}
	for i := range s.pin {
		who := wrapperA + uint8(i)
		switch {
		case s.owner == who:
		case s.pin[i] == 0:
			for p := phase.Start; p <= s.highest; p++ {
				to := s
				to.pin[i] = p
				add(name(who)+" pins "+p.String(), to)
			}
		case s.owner == nobody:
			to, ok := s.write(c, who, wrapped(s.row, s.pin[i], who))
			if !ok && s.pin[i] == s.phase {
				refused = append(refused, name(who)+" in "+s.phase.String())
			}
			if !ok {
				to.pin[i] = 0
			}
			add(name(who)+" writes", to)
		}
	}
	if s.owner == nobody {
		old, fresh := s.row, s.row
		old.exists, old.old = true, oldBinary
		fresh.exists, fresh.new = true, newOnly
		if to, ok := s.write(c, oldBinary, old); ok {
			add("the old binary writes", to)
		}
		if to, ok := s.write(c, newOnly, fresh); ok {
			add("somebody writes only new", to)
		}
	} else {
		committed, aborted := s, s
		committed.row, committed.want, committed.dirty = s.pending, s.pendingWant, s.pendingDirty
		add(name(s.owner)+" commits", committed.idle())
		add(name(s.owner)+" rolls back", aborted.idle())
	}
	s.fill(c, add)
	s.operate(c, add)
	return steps, refused
}

// wrapped is what a wrapper pinned to a phase makes of the row.
func wrapped(r row, p phase.Phase, value uint8) row {
	r.exists = true
	if p.WritesOld() {
		r.old = value
	}
	if p.WritesNew() {
		r.new = value
	}
	if p.Stamps() {
		r.stamp = p
	}
	return r
}

// write begins a transaction of one statement, or is refused by the guard.
func (s State) write(c Config, who uint8, r row) (State, bool) {
	fresh := who == backfill || who <= wrapperB && s.pin[who-wrapperA].Stamps()
	r, dirty, ok := fire(c, s.guard, s.row, r, fresh)
	if !ok {
		return s, false
	}
	s.owner, s.pending, s.pendingDirty, s.pendingWant = who, r, s.dirty || dirty, who
	if who == backfill {
		s.pendingWant, s.pendingDirty = s.want, false
	}
	return s, true
}

func (s State) idle() State {
	if s.owner == wrapperA || s.owner == wrapperB {
		s.pin[s.owner-wrapperA] = 0
	}
	s.owner, s.pending, s.pendingWant, s.pendingDirty = nobody, row{}, none, false
	return s
}

func name(who uint8) string {
	return map[uint8]string{wrapperA: "wrapper A", wrapperB: "wrapper B", oldBinary: "the old binary", newOnly: "the writer of new", backfill: "the backfill"}[who]
}
