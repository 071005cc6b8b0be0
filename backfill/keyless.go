package backfill

import (
	"fmt"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/state"
)

// maxBlockRounds takes the place of maxRounds where every round goes by blocks: where rows have no key, and where one is mixed. A row that moves behind the worker while somebody updates another column of it is left to the next round; of rows
// that are left only those are that move again, so that each round leaves a small part of the last.
const maxBlockRounds = 50

func (k *task) rounds() int {
	if k.d.Keyless() || k.path.mixed() {
		return maxBlockRounds
	}
	return maxRounds
}

// keylessRanges are ranges of blocks, in every round: without a key there is no other order.
func (r *runner) keylessRanges(leaves []catalog.Leaf, pages int64) ([]state.Range, error) {
	for _, leaf := range leaves {
		if !leaf.Blocks {
			return nil, fmt.Errorf("%s: %w: without a key it is gone over by its blocks, and it is no heap that this role may read and update", leaf.Relation, expand.ErrRefused)
		}
	}
	return blockRanges(leaves, pages, r.o.Workers), nil
}

// keyed refuses what names rows by their keys.
func (k *task) keyed() error {
	if k.d.Keyless() {
		return fmt.Errorf("table %s: %w", k.d.Table, expand.ErrNoKey)
	}
	return nil
}
