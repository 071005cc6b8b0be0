package switchover

import "github.com/tandem-go/tandem/internal/phase"

// Phase is where a migration stands. The zero value is no phase and is refused everywhere.
type Phase = phase.Phase

// The six phases, in order. Only neighbours follow each other.
//
//	phase     wrappers write     wrappers read             way back
//	Start     old                old                       -
//	Expand    both and stamp     old                       flip
//	Migrate   both and stamp     old, compared with new    flip
//	Switch    both and stamp     new, compared with old    flip, at once
//	Contract  new and stamp      new                       reverse backfill, then flip
//	Complete  new                new                       none
const (
	Start    = phase.Start
	Expand   = phase.Expand
	Migrate  = phase.Migrate
	Switch   = phase.Switch
	Contract = phase.Contract
	Complete = phase.Complete
)

// ParsePhase returns the phase of that name, exactly as its String spells it.
func ParsePhase(name string) (Phase, error) { return phase.Parse(name) }
