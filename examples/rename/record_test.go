package main

import (
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("the connection is gone")

// table is what lostWrites reads.
func table(rows ...stored) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// written is a record of a service on a table that began with three rows: it renamed user 2 twice and inserted user 4.
func written(t *testing.T) *record {
	t.Helper()
	r := newRecord()
	require.NoError(t, r.update(2, "user-2.1", nil))
	require.NoError(t, r.update(2, "user-2.2", nil))
	require.NoError(t, r.insert(4, "new-1.0", nil))
	return r
}

func TestLostWrites(t *testing.T) {
	t.Parallel()
	one, two, three, four := stored{1, "user-1.0"}, stored{2, "user-2.2"}, stored{3, "user-3.0"}, stored{4, "new-1.0"}
	tests := []struct {
		name string
		rows []stored
		want []string
	}{
		{"all there", []stored{one, two, three, four}, nil},
		{"an older name", []stored{one, {2, "user-2.1"}, three, four}, []string{`user 2 is called "user-2.1", acknowledged was "user-2.2"`}},
		{"an insert is gone", []stored{one, two, three}, []string{`user 4, acknowledged as "new-1.0", is gone`}},
		{"a written row of the start is gone", []stored{one, three, four}, []string{`user 2, acknowledged as "user-2.2", is gone`}},
		{"a row that nobody wrote is gone", []stored{one, two, four}, []string{"1 users of the 3 that the table began with are gone"}},
		{"a row that nobody wrote has changed", []stored{one, two, {3, ""}, four}, []string{`user 3 is called "", acknowledged was "user-3.0"`}},
		{"a row that nobody inserted", []stored{one, two, three, four, {5, "who"}}, []string{`user 5, called "who", was inserted by nobody`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lost, err := lostWrites(table(tt.rows...), 3, []*record{written(t), newRecord()})
			require.NoError(t, err)
			require.Equal(t, tt.want, lost)
		})
	}
}

// A write that ended with an error may be stored or not; the acknowledged one before it must not be lost to a third value.
func TestLostWritesInDoubt(t *testing.T) {
	t.Parallel()
	for name, wantLost := range map[string]int{"user-2.2": 0, "user-2.3": 0, "user-2.1": 1} {
		r := written(t)
		require.ErrorIs(t, r.update(2, "user-2.3", errBroken), errBroken)
		lost, err := lostWrites(table(stored{1, "user-1.0"}, stored{2, name}, stored{3, "user-3.0"}, stored{4, "new-1.0"}), 3, []*record{r})
		require.NoError(t, err)
		require.Len(t, lost, wantLost, name)
	}
	r := written(t)
	require.ErrorIs(t, r.insert(0, "new-2.0", errBroken), errBroken)
	lost, err := lostWrites(table(stored{1, "user-1.0"}, stored{2, "user-2.2"}, stored{3, "user-3.0"}, stored{4, "new-1.0"}, stored{5, "new-2.0"}), 3, []*record{r})
	require.NoError(t, err)
	require.Empty(t, lost, "the insert in doubt was stored")
}

func TestLostWritesReadError(t *testing.T) {
	t.Parallel()
	_, err := lostWrites(func(yield func(stored, error) bool) { yield(stored{}, errBroken) }, 3, nil)
	require.ErrorIs(t, err, errBroken)
}

func TestRecordCheck(t *testing.T) {
	t.Parallel()
	r := written(t)
	require.NoError(t, r.check(2, "user-2.2"))
	require.NoError(t, r.check(3, "user-3.0"))
	require.ErrorContains(t, r.check(2, "user-2.1"), "acknowledged was")
	require.EqualValues(t, 3, r.Writes)
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	n, err := checkName(emailOf("user-7"), nameOf("user-7", 12))
	require.NoError(t, err)
	require.EqualValues(t, 12, n)
	for _, name := range []string{"", "user-7", "user-7.", "user-7.x", "user-70.1", "user-8.1"} {
		_, err := checkName(emailOf("user-7"), name)
		require.Error(t, err, "%q", name)
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	require.Empty(t, difference([]string{"a", "b"}, []string{"a", "b"}))
	require.Equal(t, []string{"missing: b", "besides: c"}, difference([]string{"a", "b"}, []string{"a", "c"}))
}

func TestResultGood(t *testing.T) {
	t.Parallel()
	good := result{Phase: 6, Operations: 1}
	require.True(t, good.good())
	for _, spoil := range []func(*result){
		func(r *result) { r.Errors++ },
		func(r *result) { r.LostWrites++ },
		func(r *result) { r.Differences++ },
		func(r *result) { r.Phase-- },
	} {
		bad := good
		spoil(&bad)
		require.False(t, bad.good(), "%+v", bad)
	}
}
