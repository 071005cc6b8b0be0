package phase_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/phase"
)

// The table of design.md section 2.
func TestWhatEachPhaseDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p                                                phase.Phase
		name                                             string
		writesOld, writesNew, stamps, readsNew, compares bool
	}{
		{phase.Start, "Start", true, false, false, false, false},
		{phase.Expand, "Expand", true, true, true, false, false},
		{phase.Migrate, "Migrate", true, true, true, false, true},
		{phase.Switch, "Switch", true, true, true, true, true},
		{phase.Contract, "Contract", false, true, true, true, false},
		{phase.Complete, "Complete", false, true, false, true, false},
	} {
		require.Equal(t, c.name, c.p.String())
		require.True(t, c.p.Valid())
		require.Equal(t, []bool{c.writesOld, c.writesNew, c.stamps, c.readsNew, c.compares},
			[]bool{c.p.WritesOld(), c.p.WritesNew(), c.p.Stamps(), c.p.ReadsNew(), c.p.Compares()}, c.name)
	}
	require.Equal(t, []phase.Phase{1, 2, 3, 4, 5, 6}, phase.All())
}

func TestPhaseThereAndBack(t *testing.T) {
	t.Parallel()
	for _, p := range phase.All() {
		got, err := phase.Parse(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
		text, err := json.Marshal(map[string]phase.Phase{"p": p})
		require.NoError(t, err)
		require.Equal(t, `{"p":"`+p.String()+`"}`, string(text))
		var read map[string]phase.Phase
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, p, read["p"])
		value, err := p.Value()
		require.NoError(t, err)
		for _, stored := range []any{value, []byte(p.String())} {
			var scanned phase.Phase
			require.NoError(t, scanned.Scan(stored))
			require.Equal(t, p, scanned)
		}
	}
}

func TestNoPhase(t *testing.T) {
	t.Parallel()
	for _, p := range []phase.Phase{0, 7, -1} {
		require.False(t, p.Valid())
		_, err := p.Value()
		require.Error(t, err)
	}
	require.Equal(t, "Phase(0)", phase.Phase(0).String())
	for _, name := range []string{"", "start", "EXPAND", "Phase(0)", " Start"} {
		_, err := phase.Parse(name)
		require.ErrorContains(t, err, "the phases are Start, Expand")
	}
	var p phase.Phase
	require.Error(t, p.Scan(nil))
	require.Error(t, p.Scan(int64(2)))
	require.Error(t, json.Unmarshal([]byte(`"Done"`), &p))
}

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, p := range phase.All() {
		seen := map[int32]bool{}
		for range 1000 {
			s := p.Stamp()
			require.Equal(t, p, phase.StampPhase(s))
			require.GreaterOrEqual(t, s, p.Floor())
			require.Less(t, s, (p + 1).Floor())
			seen[s] = true
		}
		require.Greater(t, len(seen), 990) // of 16.7 million: two equal ones in a thousand come once in 30 runs
		require.Equal(t, p, phase.StampPhase(p.Floor()))
		require.Equal(t, p-1, phase.StampPhase(p.Floor()-1))
	}
}
