package backfill

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/tandem-go/tandem/internal/state"
)

func anys(key []string) []any {
	out := make([]any, len(key))
	for i, k := range key {
		out[i] = k
	}
	return out
}

// blockKey is a block's number as ranges keep it, block what it means.
func blockKey(n int64) []string { return []string{strconv.FormatInt(n, 10)} }

func block(key []string) int64 {
	n, err := strconv.ParseInt(key[0], 10, 64)
	if err != nil {
		panic("backfill: not a block: " + key[0]) // only blockKey has written it
	}
	return n
}

// at says where in the table an error came up.
func at(r state.Range, err error) error {
	from := r.From()
	switch {
	case err == nil:
		return nil
	case from == nil:
		return fmt.Errorf("in the first window: %w", err)
	case r.Blocks:
		return fmt.Errorf("%s from block %s: %w", r.Relation, from[0], err)
	}
	return fmt.Errorf("after key %v: %w", from, err)
}

func equal(a, b []string) bool { return slices.Equal(a, b) }
