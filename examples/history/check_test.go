package history_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// event is one operation on one row: a read of its name, or a write.
type event struct {
	Actor  string
	Key    int64
	Write  bool
	Value  string
	Kept   string // of a write of one half of a set: the other half, which was there and stays
	Call   int64  // nanoseconds of the machine's clock, which all processes share
	Return int64
}

// history is what all actors did; safe for concurrent use.
type history struct {
	mu       sync.Mutex
	events   []event
	refused  int // writes that the guard refused
	repaired int // transactions around the wrappers that the guard brought into step
	unknown  int // writes whose end nobody knows
	failures []error

	refusals atomic.Int64 // of the operator's present step
}

// never is the return of a write that may yet happen: it takes effect at any time, or after everything else.
const never = math.MaxInt64

func (h *history) add(e ...event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e...)
}

func (h *history) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused++
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = append(h.failures, err)
}

// register is a row's name: a read returns what was written last.
var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int64][]porcupine.Operation{}
		for _, o := range all {
			key := o.Input.(event).Key //nolint:errcheck // see operations
			byKey[key] = append(byKey[key], o)
		}
		var out [][]porcupine.Operation
		for _, list := range byKey {
			out = append(out, list)
		}
		return out
	},
	Init: func() any { return first },
	Step: func(state, input, _ any) (bool, any) {
		e := input.(event) //nolint:errcheck // see operations
		if e.Write {
			return e.Kept == "" || slices.Contains(strings.Fields(state.(string)), e.Kept), e.Value //nolint:errcheck // a value
		}
		return e.Value == state, state
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

const (
	first     = "first" // every row's name at the start
	checkTime = 2 * time.Minute
)

func (h *history) operations() []porcupine.Operation {
	out := make([]porcupine.Operation, len(h.events))
	clients := map[string]int{}
	for i, e := range h.events {
		if _, ok := clients[e.Actor]; !ok {
			clients[e.Actor] = len(clients)
		}
		out[i] = porcupine.Operation{ClientId: clients[e.Actor], Input: e, Call: e.Call, Return: e.Return}
	}
	return out
}

// check tells whether there is one order of all operations that each of them agrees with.
func (h *history) check(t *testing.T) bool {
	t.Helper()
	require.Empty(t, h.failures)
	require.NotEmpty(t, h.events)
	result := porcupine.CheckOperationsTimeout(register, h.operations(), checkTime)
	require.NotEqual(t, porcupine.Unknown, result, "the checker needs longer than %s", checkTime)
	t.Logf("%s: %s", h, result)
	if result == porcupine.Illegal {
		t.Log(h.suspect())
	}
	return result == porcupine.Ok
}

// rows is how many histories it has: one for each register.
func (h *history) rows() int {
	seen := map[int64]bool{}
	for _, e := range h.events {
		seen[e.Key] = true
	}
	return len(seen)
}

func (h *history) String() string {
	return fmt.Sprintf("%d rows' histories, %d operations, %d refused by the guard, %d repaired by it, %d of unknown end", h.rows(), len(h.events), h.refused, h.repaired, h.unknown)
}

// suspect shows what happened around the first read of a value that another one had replaced before the read began.
func (h *history) suspect() string {
	events := slices.Clone(h.events)
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.Call, b.Call) })
	for i, e := range events {
		if e.Write {
			continue
		}
		var wrote *event
		for _, w := range events[:i] {
			if w.Write && w.Key == e.Key && w.Value == e.Value {
				wrote = &w
			}
		}
		for _, w := range events[:i] {
			if wrote == nil || !w.Write || w.Key != e.Key || w.Call < wrote.Return || w.Return > e.Call || w.Value == e.Value {
				continue
			}
			lines := []string{"suspect:"}
			for _, n := range events {
				if n.Key == e.Key && n.Return >= wrote.Call && n.Call <= e.Return {
					lines = append(lines, fmt.Sprintf("%+v", n))
				}
			}
			return strings.Join(lines[:min(len(lines), 25)], "\n  ")
		}
	}
	return ""
}
