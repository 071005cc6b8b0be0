package backfill

import (
	"sync"
	"time"
)

// stint is how long a call works, Options.For: from the first range on that a worker gets, or waits for. What a call reads before that may take longer than all of it, and must not use it up.
// The runners of one call of RunAll share it.
type stint struct {
	length time.Duration // 0: without an end

	mu    sync.Mutex
	until time.Time // zero: it has not begun
}

// begin begins it, if it has not begun.
func (s *stint) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.length > 0 && s.until.IsZero() {
		s.until = time.Now().Add(s.length)
	}
}

func (s *stint) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.until.IsZero() && time.Now().After(s.until)
}
