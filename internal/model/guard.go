package model

import (
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/phase"
)

// fire is what the guard makes of a write. fresh: the statement sets a new stamp.
func fire(c Config, mode guard.Mode, was, is row, fresh bool) (out row, dirty, ok bool) {
	if mode == guard.None {
		return is, false, true
	}
	from, to := mode.Admits()
	admitted := is.stamp >= from && is.stamp <= to
	if mode != guard.Repair {
		bad := !admitted
		if c.NotBetween {
			bad = bad && is.stamp != 0
		}
		changed := !c.ByValue || is.old != was.old || is.new != was.new
		if was.exists && (changed && !fresh || fresh && bad) || !was.exists && bad {
			return is, false, false
		}
		return is, false, true
	}
	if fresh && is.stamp != 0 && !admitted && !c.NoFence {
		return is, false, false
	}
	if fresh {
		return is, false, true
	}
	return repair(c, was, is)
}

// repair brings a write without a stamp into step.
func repair(c Config, was, is row) (out row, dirty, ok bool) {
	oldChanged, newChanged := is.old != was.old, is.new != was.new
	switch {
	case !oldChanged && !newChanged:
		return is, false, true
	case oldChanged && newChanged && (!c.Forward || is.new != is.old): // in step it may pass
		return is, false, false
	case oldChanged && c.Forward:
		is.new, is.stamp = is.old, phase.Expand
	case oldChanged:
		is.stamp, dirty = 0, true
		if !c.StaleNew {
			is.new = none
		}
	case c.Backward:
		is.old, is.stamp = is.new, phase.Expand
	default:
		return is, false, false // it would be lost
	}
	return is, dirty, true
}
