package main

import (
	"fmt"
	"math"

	"github.com/tandem-go/tandem/expand"
)

// PriceCents is the pair: items.price becomes items.price_cents. It has no expression in SQL, so only Go can convert: of what an old
// binary writes the guard notes the key in tandem.dirty, and backfill.Sweep converts it.
var PriceCents = expand.Convert(expand.Spec[float64, int64]{
	Table: "items", Old: "price", New: "price_cents", Type: "bigint",
	Forward: toCents, Backward: toPrice,
})

// Item is the model in its final shape.
type Item struct {
	ID         int64  `db:"id" tandem:"default"`
	Name       string `db:"name"`
	PriceCents int64  `db:"price_cents"`
}

// maxCents is how far a double precision keeps neighbouring cents apart, there and back: the two roundings are off by less than half a
// cent together as long as a cent is more than four units in the last place (2^53 / 4 is 2.2e15).
const maxCents = 1e15

// toCents rounds to the nearest cent. An error makes the row a bad one, which the operator mends; a guess would make it a wrong one.
func toCents(price float64) (int64, error) {
	cents := math.Round(price * 100)
	if math.IsNaN(cents) || math.Abs(cents) > maxCents {
		return 0, fmt.Errorf("%v is no price: cents go to %.0f", price, maxCents)
	}
	return int64(cents), nil
}

func toPrice(cents int64) (float64, error) {
	if cents > maxCents || cents < -maxCents {
		return 0, fmt.Errorf("%d cents: a price goes to %.0f", cents, maxCents)
	}
	return float64(cents) / 100, nil
}
