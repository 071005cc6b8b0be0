package backfill

import "time"

// A statement's rows lie between minBatch and Options.Batch.
const (
	minBatch   = 10
	firstBatch = 1000
)

// sizer finds how many rows a statement should have so that it takes as long as the target says. It grows slowly, so that a few fast statements do not make a slow one, shrinks in
// proportion, and after one that took five times the target at once to a tenth: something else is wrong then.
type sizer struct{ size, most float64 }

func newSizer(most int) *sizer {
	return &sizer{size: min(firstBatch, float64(most)), most: float64(most)}
}

func (s *sizer) rows() int { return int(s.size) }

// limit changes what a statement may have at most.
func (s *sizer) limit(most int) {
	s.most = float64(most)
	s.size = min(s.size, s.most)
}

// took learns from a statement that went over rows of the size.
func (s *sizer) took(rows float64, d, target time.Duration) {
	switch by := float64(target) / float64(max(d, 1)); {
	case by < 1.0/5:
		s.size = min(rows, s.size) / 10
	case by < 1:
		s.size = min(rows, s.size) * by
	case rows >= s.size/2: // a short one, at the end of a range, says little
		s.size *= min(by, 1.5)
	}
	s.size = min(max(s.size, minBatch), s.most)
}
