package backfill

import (
	"io"
	"math"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	barWidth = 24
	barParts = 1000 // it moves in thousandths: the total may still change
)

// Bar draws a progress on a terminal: use it as Options.Progress. It ends with a line of its own when the pass is done.
func Bar(w io.Writer, title string) func(Progress) {
	var once sync.Once
	bar := progressbar.NewOptions(barParts, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(barWidth), progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionOnCompletion(func() { once.Do(func() { _, _ = io.WriteString(w, "\n") }) }))
	return func(p Progress) {
		bar.Describe(title + ": " + p.String())
		part := int(math.Floor(barParts * p.Fraction()))
		if !p.Done {
			part = min(part, barParts-1)
		}
		_ = bar.Set(part) // a terminal that has gone is not the backfill's trouble
	}
}
