package throttle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var h history
	at, before := h.reached(5, begin)
	require.Equal(t, begin, at)
	require.False(t, before)
	for i, pos := range []float64{10, 10, 20, 30} {
		h.add(after(i), pos)
	}
	for _, c := range []struct {
		pos    float64
		after  int
		before bool
	}{{5, 0, true}, {10, 0, true}, {11, 2, false}, {20, 2, false}, {21, 3, false}, {30, 3, false}, {31, 9, false}} {
		at, before := h.reached(c.pos, after(9))
		require.Equal(t, after(c.after), at, c.pos)
		require.Equal(t, c.before, before, c.pos)
	}
	h.since(after(2))
	require.Len(t, h, 2)
	h.add(after(9), 3)
	require.Equal(t, history{{after(9), 3}}, h, "another server")

	h = nil
	for i := range 10 * longest {
		h.add(after(i), float64(i))
		require.LessOrEqual(t, len(h), longest)
	}
	require.Equal(t, begin, h[0].at, "the oldest stays")
	at, _ = h.reached(float64(9*longest), after(10*longest))
	require.InDelta(t, 9*longest, at.Sub(begin).Seconds(), 32, "within what is kept")
}

// A backfill that writes whatever it is let to, as a share of 100 MiB a second, keeps the limit.
func TestWALSettles(t *testing.T) {
	t.Parallel()
	const full, soft, hard = 100 << 20, 10 << 20, 20 << 20
	w := &WAL{Soft: soft, Hard: hard}
	now, lsn := time.Unix(0, 0), 0.0
	var late float64
	for second := range 120 {
		share := w.at(now, lsn).Share
		if now = now.Add(time.Second); share < 1 {
			lsn += full * (1 - share)
		}
		if second == 59 {
			late = lsn
		}
	}
	require.Less(t, (lsn-late)/60, 1.1*hard)
	require.Greater(t, (lsn-late)/60, 0.9*soft)
}

// An xmin that moves is as old as the transactions that it lets be seen, not as long as it has been what it is.
func TestHeld(t *testing.T) {
	t.Parallel()
	s := &Snapshot{}
	now := time.Unix(0, 0)
	for range 100 {
		now = now.Add(time.Second)
		s.seen.add(now, 10*float64(now.Unix()))
	}
	hour := 3600.0
	for _, c := range []struct {
		xmin    float64
		seconds *float64
		want    time.Duration
	}{
		{1000, &hour, 0},                    // of a long transaction, but just taken
		{700, &hour, 30 * time.Second},      //
		{700, new(float64), 0},              // of a transaction that has just begun
		{5, &hour, time.Hour},               // older than what was seen
		{5, nil, 99 * time.Second},          // of a slot, as far as was seen
		{1000 - 400, nil, 40 * time.Second}, // a standby's that follows 40 s behind
	} {
		require.Equal(t, c.want, s.held(holder{Xmin: &c.xmin, Seconds: c.seconds}, now), "%+v", c)
	}
}

func TestArchived(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		end  float64
		ok   bool
	}{
		{"000000010000000000000001", 2 << 24, true},
		{"0000000500000002000000FF", 3 << 32, true},
		{"000000010000000000000003.00000028.backup", 4 << 24, true},
		{"00000002.history", 0, false},
		{"", 0, false},
	} {
		end, ok := archived(c.file, 1<<24)
		require.Equal(t, c.ok, ok, c.file)
		require.InDelta(t, c.end, end, 0, c.file)
	}
}

func TestSlotLoad(t *testing.T) {
	t.Parallel()
	safe := func(bytes float64) *float64 { return &bytes }
	for _, c := range []struct {
		slot  slot
		share float64
	}{
		{slot{Bytes: 1500}, 0.5},
		{slot{Bytes: 500, Safe: safe(500)}, 0},
		{slot{Bytes: 700, Safe: safe(300)}, 0.5},
		{slot{Bytes: 900, Safe: safe(100)}, 1},
		{slot{Bytes: 1500, Safe: safe(1e9)}, 0.5},
		{slot{Bytes: 100, Safe: safe(-50)}, 1},
		{slot{Bytes: 100, Status: "unreserved"}, 1},
	} {
		require.InDelta(t, c.share, c.slot.load(1000, 2000).Share, 1e-9, "%+v", c.slot)
	}
}

// A query of ours is ended by the server, whatever the client does.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	var never []string
	err := rows(context.Background(), pgtest.New(t), &never, `SELECT pg_sleep(60)::text`)
	require.ErrorContains(t, err, "due to statement timeout")
}
