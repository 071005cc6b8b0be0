package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tandem-go/tandem/switchover"
)

// result is what the program says at its end; its JSON is the object of -json.
type result struct {
	Rows         int64            `json:"rows"`
	Operations   int64            `json:"operations"`
	Errors       int64            `json:"errors"`
	LostWrites   int64            `json:"lost_writes"`
	Differences  int64            `json:"differences"`
	Phase        switchover.Phase `json:"phase"`
	LongestStall float64          `json:"longest_stall_ms"`
	Seconds      float64          `json:"seconds"`
	Error        string           `json:"error,omitempty"` // why there is no proof

	loads    map[switchover.Phase]*load
	records  []*record
	messages []string // of failed operations
	proofs   []proof
}

// proof is one statement of the end, and what contradicts it.
type proof struct {
	claim, detail string
	against       []string
}

func (r *result) good() bool {
	return r.Errors == 0 && r.LostWrites == 0 && r.Differences == 0 && r.Phase == switchover.Complete
}

// take adds up what the services reported.
func (r *result) take(s *stage) {
	r.Phase = max(s.phase, switchover.Start)
	r.Differences = s.differences + s.seen
	r.loads = map[switchover.Phase]*load{}
	for _, report := range s.reports {
		r.records = append(r.records, report.Record)
		for _, m := range report.Messages {
			r.messages = append(r.messages, report.Service+": "+m)
		}
		for phase, l := range report.Loads {
			if r.loads[phase] == nil {
				r.loads[phase] = &load{}
			}
			r.loads[phase].merge(l)
			r.Operations += l.Operations
			r.Errors += l.Errors
			r.LongestStall = max(r.LongestStall, milliseconds(l.Latency.Longest))
		}
	}
}

func (r *result) writeJSON(out io.Writer) error {
	r.Phase = max(r.Phase, switchover.Start) // the server did not even start
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// maxAgainst lines are shown of what contradicts a proof.
const maxAgainst = 20

func (r *result) write(out io.Writer) {
	if len(r.loads) == 0 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\nphase\toperations\terrors\tp50\tp99\tlongest stall\t")
	for _, phase := range slices.Sorted(maps.Keys(r.loads)) {
		l := r.loads[phase]
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t\n", phase, thousands(l.Operations), l.Errors,
			inMilliseconds(l.Latency.quantile(0.5)), inMilliseconds(l.Latency.quantile(0.99)), inMilliseconds(l.Latency.Longest))
	}
	_ = table.Flush()
	_, _ = fmt.Fprintln(out)
	for _, m := range r.messages {
		_, _ = fmt.Fprintf(out, "error: %s\n", m)
	}
	for _, p := range r.proofs {
		p.write(out)
	}
	_, _ = fmt.Fprintf(out, "%s operations, %d errors, %d lost writes, %d differences, in %.1f s\n",
		thousands(r.Operations), r.Errors, r.LostWrites, r.Differences, r.Seconds)
}

func (p proof) write(out io.Writer) {
	verdict := "proved"
	if len(p.against) > 0 {
		verdict = "WRONG"
	}
	_, _ = fmt.Fprintf(out, "%s: %s (%s)\n", verdict, p.claim, p.detail)
	for i, line := range p.against {
		if i == maxAgainst {
			_, _ = fmt.Fprintf(out, "  ... and %d more\n", len(p.against)-i)
			break
		}
		_, _ = fmt.Fprintf(out, "  %s\n", line)
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

func inMilliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", milliseconds(d)) }

func seconds(d time.Duration) float64 { return d.Round(10 * time.Millisecond).Seconds() }
