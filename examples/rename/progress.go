package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tandem-go/tandem/backfill"
)

// screen is where the story is told: a terminal, which gets moving bars, or a file or pipe, which gets lines.
type screen struct {
	out  io.Writer
	live bool
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, live: term.IsTerminal(int(out.Fd()))}
}

func (s *screen) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, format+"\n", args...) // there is nowhere to tell that it failed
}

// bar shows how far one thing is. On a terminal it disappears at the end; elsewhere it is a line every second.
type bar struct {
	screen *screen
	title  string
	live   *progressbar.ProgressBar
	last   time.Time // of the last line
}

func (s *screen) bar(title string) *bar {
	b := &bar{screen: s, title: title, last: time.Now()}
	if s.live {
		b.live = progressbar.NewOptions64(1, progressbar.OptionSetWriter(s.out), progressbar.OptionSetDescription("  "+title),
			progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(0))
	}
	return b
}

// rows shows the progress of a pass over the table.
func (b *bar) rows(p backfill.Progress) {
	if b.live != nil {
		b.move(p.Rows, p.Total, fmt.Sprintf("%s rows, %s/s, %s left", thousands(p.Rows), thousands(int64(p.Rate)), p.Left))
		return
	}
	if time.Since(b.last) >= time.Second && !p.Done {
		b.last = time.Now()
		b.screen.say("  %s: %s of %s rows, %s rows/s, %s left", b.title, thousands(p.Rows), thousands(p.Total), thousands(int64(p.Rate)), p.Left)
	}
}

// move sets the bar of a terminal; elsewhere it does nothing.
func (b *bar) move(done, total int64, text string) {
	if b.live == nil {
		return
	}
	b.live.ChangeMax64(max(total, 1))
	b.live.Describe(fmt.Sprintf("  %s: %s", b.title, text))
	_ = b.live.Set64(min(done, max(total, 1)-1)) // full would finish it
}

func (b *bar) end() {
	if b.live != nil {
		_ = b.live.Clear()
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
