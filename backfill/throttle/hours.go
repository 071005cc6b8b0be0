package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// Hours are times of the day at which a backfill rests, by the clock of a place. To before From is across midnight; whole days are from 00:00 to 24:00. Where the clock is put forward, times that it
// leaves out do not come; where it is put back, those that it repeats come twice.
type Hours struct {
	From, To string         // "15:04"
	Share    float64        // of the time that workers rest then, up to 1; defaults to 1
	Days     []time.Weekday // on which From lies; defaults to all
	Location *time.Location // defaults to UTC
}

// Name implements Signal.
func (Hours) Name() string { return "quiet hours" }

// Read implements Signal.
func (h Hours) Read(context.Context, *sqlx.DB) (Load, error) {
	if !(h.Share >= 0 && h.Share <= 1) {
		return Load{}, fmt.Errorf("quiet hours: share %g: must lie between 0 and 1", h.Share)
	}
	in, err := h.contain(time.Now())
	if err != nil || !in {
		return Load{}, err
	}
	share := h.Share
	if share == 0 {
		share = 1
	}
	return Load{share, fmt.Sprintf("quiet hours from %s to %s, %s: wait for their end", h.From, h.To, h.location())}, nil
}

func (h Hours) location() *time.Location {
	if h.Location == nil {
		return time.UTC
	}
	return h.Location
}

func (h Hours) contain(now time.Time) (bool, error) {
	from, err := minutes(h.From)
	if err != nil {
		return false, err
	}
	to, err := minutes(h.To)
	if err != nil {
		return false, err
	}
	if from == to || from == day {
		return false, fmt.Errorf("quiet hours from %s to %s are none: whole days are from 00:00 to 24:00", h.From, h.To)
	}
	now = now.In(h.location())
	at, today := now.Hour()*60+now.Minute(), now.Weekday()
	switch {
	case from <= to:
		return from <= at && at < to && h.on(today), nil
	case at >= from:
		return h.on(today), nil
	}
	return at < to && h.on((today+6)%7), nil // begun yesterday
}

func (h Hours) on(weekday time.Weekday) bool {
	for _, d := range h.Days {
		if d == weekday {
			return true
		}
	}
	return len(h.Days) == 0
}

const day = 24 * 60 // minutes

func minutes(clock string) (int, error) {
	if clock == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return 0, fmt.Errorf("quiet hours: %q is no time of the day such as 22:00", clock)
	}
	return t.Hour()*60 + t.Minute(), nil
}
