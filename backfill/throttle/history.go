package throttle

import (
	"slices"
	"time"
)

// history is how a position of the server grew: of its log in bytes, of its transactions in numbers.
type history []place

type place struct {
	at  time.Time
	pos float64
}

// longest is an hour of readings. Beyond it every other one is forgotten, so that the oldest stays.
const longest = int(time.Hour / Every)

// add remembers a position. One that lies before the last is that of another server: what was seen of the first counts no more.
func (h *history) add(at time.Time, pos float64) {
	if n := len(*h); n > 0 && pos < (*h)[n-1].pos {
		*h = nil
	}
	*h = append(*h, place{at, pos})
	if len(*h) > longest {
		i := 0
		*h = slices.DeleteFunc(*h, func(place) bool { i++; return i%2 == 0 })
	}
}

// reached is when the position was seen at pos or beyond first; before: it was from the first reading on, so that it may have been long before. Never: the present.
func (h history) reached(pos float64, now time.Time) (at time.Time, before bool) {
	i, _ := slices.BinarySearchFunc(h, pos, func(p place, pos float64) int {
		if p.pos < pos {
			return -1
		}
		return 1
	})
	if i == len(h) {
		return now, false
	}
	return h[i].at, i == 0
}

// since forgets what lies before at, but for the last of it.
func (h *history) since(at time.Time) {
	for len(*h) > 1 && !(*h)[1].at.After(at) {
		*h = (*h)[1:]
	}
}
