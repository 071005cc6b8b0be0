package model

import (
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/phase"
)

// fill is the backfill, and the sweeper, and on the way back the reverse: read, and write back what is still so. With SQL it is one statement.
func (s State) fill(c Config, add func(string, State)) {
	reverse := s.guard == guard.Reverse
	todo := s.row.exists && s.row.stamp == 0 && s.phase >= phase.Migrate && s.phase <= phase.Contract && !reverse
	if reverse {
		todo = s.row.exists && s.row.stamp == phase.Contract
	}
	source := func(r row) uint8 {
		if reverse {
			return r.new
		}
		return r.old
	}
	if !s.read && todo {
		s.read, s.seen, s.fillStamp = true, source(s.row), phase.Switch
		if s.phase == phase.Migrate {
			s.fillStamp = phase.Migrate
		}
		add("the backfill reads", s)
		return
	}
	if !s.read || s.owner != nobody {
		return
	}
	r, seen, stamp := s.row, s.seen, s.fillStamp
	s.read, s.seen, s.fillStamp = false, none, 0
	if !c.NoTodo && !todo || !c.NoCompare && source(r) != seen || !r.exists {
		add("the backfill finds the row changed", s)
		return
	}
	if reverse {
		r.old = seen
	} else {
		r.new = seen
	}
	r.stamp = stamp
	to, ok := s.write(c, backfill, r)
	if !ok {
		to = s
	}
	add("the backfill writes", to)
}

// operate is every step of the operator. What needs the table's lock waits for the transaction that writes.
func (s State) operate(c Config, add func(string, State)) {
	to := func(name string, p phase.Phase, g guard.Mode) {
		next := s
		next.phase, next.highest = p, max(s.highest, p)
		if !c.NoGuard {
			next.guard = g
		}
		add("operator: "+name, next)
	}
	locked := s.owner == nobody || c.NoSwapLock
	inStep := !s.row.exists || s.row.stamp != 0
	switch s.phase {
	case phase.Start:
		to("to Expand", phase.Expand, s.guard)
	case phase.Expand:
		to("to Migrate", phase.Migrate, s.guard)
		to("back to Start", phase.Start, s.guard)
	case phase.Migrate:
		if inStep && !s.dirty {
			to("to Switch", phase.Switch, s.guard)
		}
		to("back to Expand", phase.Expand, s.guard)
	case phase.Switch:
		if s.guard == guard.Reverse {
			if s.owner == nobody && s.row.stamp != phase.Contract {
				to("restore", phase.Switch, guard.Repair)
			}
			return
		}
		to("back to Migrate", phase.Migrate, s.guard)
		switch {
		case c.PhaseFirst:
			to("to Contract, guard as it is", phase.Contract, s.guard)
		case locked && !s.dirty:
			to("swap", phase.Contract, guard.Reject)
		}
	case phase.Contract:
		if s.guard == guard.Repair {
			if locked {
				to("exchange the guard", phase.Contract, guard.Reject)
			}
			return
		}
		if locked {
			to("swap back", phase.Switch, guard.Reverse)
		}
		if s.owner == nobody && inStep {
			to("drop", phase.Complete, s.guard)
		}
	}
}

// Wrong tells what a reader would get wrong at this moment, whichever phase he believes in; "" if nothing.
func (s State) Wrong(c Config) string {
	r := s.row
	switch {
	case !r.exists:
		return ""
	case s.phase == phase.Complete:
		return differs("the drop left new", r.new, s.want)
	case s.guard == guard.Reject && r.stamp == 0:
		return "a row without a stamp in Contract: a filter on new misses it, and only old has its value"
	case r.stamp == 0 && !c.BlindReads:
		return differs("without a stamp, old", r.old, s.want)
	case r.stamp == phase.Contract && !c.BlindReads:
		return differs("with a stamp of Contract, new", r.new, s.want)
	}
	if text := differs("old", r.old, s.want); text != "" {
		return text
	}
	return differs("new", r.new, s.want)
}

func differs(what string, got, want uint8) string {
	if got == want {
		return ""
	}
	return what + " is of another write than the last acknowledged one"
}
