package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// finding is the shortest way to something wrong.
type finding struct {
	states int
	wrong  string
	path   []string
}

func (f finding) String() string { return f.wrong + ":\n  " + strings.Join(f.path, "\n  ") }

// explore goes through all states that can be reached, breadth first, and stops at the first that is wrong.
func explore(c Config) finding {
	type edge struct {
		from int
		name string
	}
	states, edges := []State{Start(c)}, []edge{{-1, "start"}}
	number := map[State]int{states[0]: 0}
	found := func(at int, wrong string) finding {
		f := finding{states: len(states), wrong: wrong}
		for ; at >= 0; at = edges[at].from {
			f.path = append(f.path, edges[at].name)
		}
		slices.Reverse(f.path)
		return f
	}
	for at := 0; at < len(states); at++ {
		s := states[at]
		if wrong := s.Wrong(c); wrong != "" {
			return found(at, wrong)
		}
		steps, refused := s.Next(c)
		if len(refused) > 0 {
			return found(at, "refused in the admitted phase: "+refused[0])
		}
		for _, step := range steps {
			if _, seen := number[step.To]; !seen {
				number[step.To] = len(states)
				states, edges = append(states, step.To), append(edges, edge{at, step.Name})
			}
		}
	}
	return finding{states: len(states)}
}

// kinds are the pairs: what SQL can convert, and whether the row is there at the start.
func kinds() (out []Config) {
	for i := range 8 {
		out = append(out, Config{Forward: i&1 != 0, Backward: i&2 != 0, Inserted: i&4 != 0})
	}
	return out
}

func TestModel(t *testing.T) {
	t.Parallel()
	total := 0
	for _, c := range kinds() {
		f := explore(c)
		require.Empty(t, f.wrong, "%+v\n%s", c, f)
		require.Greater(t, f.states, 1000)
		total += f.states
	}
	t.Logf("%d states of %d kinds of pairs, nothing wrong in any", total, len(kinds()))
}

// A protocol that is broken in one place is found out.
func TestModelFindsMutations(t *testing.T) {
	t.Parallel()
	for name, mutate := range map[string]func(*Config){
		"no guard":                     func(c *Config) { c.NoGuard = true },
		"no compare in the write-back": func(c *Config) { c.NoCompare = true },
		"no stamp in the write-back":   func(c *Config) { c.NoTodo = true },
		"phase before the swap":        func(c *Config) { c.PhaseFirst = true },
		"NOT BETWEEN":                  func(c *Config) { c.NotBetween = true },
		"reject by value":              func(c *Config) { c.ByValue = true },
		"outdated new kept":            func(c *Config) { c.StaleNew = true },
		"no lock at the swap":          func(c *Config) { c.NoSwapLock = true },
		"no fence":                     func(c *Config) { c.NoFence = true },
		"readers without the stamp":    func(c *Config) { c.BlindReads = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first finding
			for _, c := range kinds() {
				mutate(&c)
				if first = explore(c); first.wrong != "" {
					break
				}
			}
			require.NotEmpty(t, first.wrong)
			t.Log(fmt.Sprint(first))
		})
	}
}
