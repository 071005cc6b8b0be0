package pair_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
)

func rename() pair.Definition {
	return pair.Definition{
		Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"}, Old: []string{"user_name"}, New: []string{"full_name"},
		Stamp: "full_name_stamp", Forward: []string{"{user_name}"}, Backward: []string{"{full_name}"},
	}
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	d := rename()
	require.NoError(t, d.Check())
	require.Equal(t, "users.full_name", d.Name())
	require.True(t, d.Identity())
	require.Equal(t, []string{"user_name", "full_name", "full_name_stamp"}, d.Columns())
	d.Table.Schema, d.New = "App", []string{"Full.Name"}
	require.Equal(t, `"App".users."Full.Name"`, d.Name())
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	d := rename()
	d.Old, d.Types = []string{"Price"}, []string{"bigint"}
	d.Forward = []string{`round({Price} * 100) /* {not} */ || '{nor}'`}
	require.NoError(t, d.Check())
	require.Equal(t, []string{`CAST(round(NEW."Price" * 100) /* {not} */ || '{nor}' AS bigint)`}, d.ForwardSQL("NEW."))
	require.Equal(t, []string{`full_name`}, d.BackwardSQL(""))
	require.False(t, d.Identity())
	d.Forward, d.Backward, d.Types = nil, nil, nil
	require.Empty(t, d.ForwardSQL("t."))
	require.False(t, d.HasForward() || d.HasBackward() || d.Identity())
}

// A pair whose new type is known to SQL only keeps its type in the text even where Go alone converts.
func TestTypesWithoutForward(t *testing.T) {
	t.Parallel()
	d := rename()
	d.Forward, d.Types = nil, []string{"bigint"}
	require.NoError(t, d.Check())
	require.Empty(t, d.ForwardSQL("t."))
}

func TestSet(t *testing.T) {
	t.Parallel()
	d := rename()
	d.Old, d.New, d.Stamp = []string{"a", "b"}, []string{"c", "d"}, "s"
	d.Forward, d.Backward = []string{"{a}", "{b}"}, []string{"{c}", "{d}"}
	require.ErrorContains(t, d.Check(), "columns c, d need their SQL types")
	d.Types = []string{"int", "text"}
	require.NoError(t, d.Check())
	require.True(t, d.IsSet() && !d.Identity(), "a set goes by its expressions")
	require.Equal(t, []string{"CAST((1) AS int)", "CAST((now()) AS text)"}, d.ForwardOf([]string{"1", "now()"}))
	d.Types = []string{"numeric(5,2)", `varchar(3) COLLATE "C"`}
	require.Equal(t, []string{"CAST(t.a AS numeric)", "CAST(t.b AS varchar)"}, d.ForwardSQL("t."))
	require.Equal(t, []string{"CAST(t.a AS numeric(5,2))", `CAST(t.b AS varchar(3)) COLLATE "C"`}, d.StoredSQL("t."))
	require.Equal(t, []string{"CAST(t.a AS numeric(5,2))", "CAST(t.b AS varchar)"}, d.AssignedSQL("t."))
	d.NotNull = []string{"d"}
	require.NoError(t, d.Check())
	d.NotNull = []string{"b"}
	require.ErrorContains(t, d.Check(), "NotNull names b")
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{rename().Fingerprint(): true}
	for _, change := range []func(*pair.Definition){
		func(d *pair.Definition) { d.Table.Schema = "app" }, func(d *pair.Definition) { d.Table.Name = "people" },
		func(d *pair.Definition) { d.Key = []string{"key"} }, func(d *pair.Definition) { d.Key = []string{"id", "key"} },
		func(d *pair.Definition) { d.Old = []string{"x"} }, func(d *pair.Definition) { d.New = []string{"x"} },
		func(d *pair.Definition) { d.Types = []string{"text"} }, func(d *pair.Definition) { d.Stamp = "x" },
		func(d *pair.Definition) { d.Forward = []string{"upper({user_name})"} }, func(d *pair.Definition) { d.Forward = nil },
		func(d *pair.Definition) { d.Backward = nil }, func(d *pair.Definition) { d.NotNull = []string{"x"} },
	} {
		d := rename()
		change(&d)
		require.False(t, seen[d.Fingerprint()])
		seen[d.Fingerprint()] = true
		text, err := json.Marshal(d) // the state schema stores it as jsonb
		require.NoError(t, err)
		var read pair.Definition
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, d, read)
		require.Equal(t, d.Fingerprint(), read.Fingerprint())
	}
	require.Len(t, rename().Fingerprint(), 16)
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*pair.Definition){
		"needs a key, an old and a new column":   func(d *pair.Definition) { d.Key = nil },
		"pair on users: needs a key":             func(d *pair.Definition) { d.Old = nil },
		"an old and a new column":                func(d *pair.Definition) { d.New = nil },
		"column full_name is both old and new":   func(d *pair.Definition) { d.Old = []string{"full_name"} },
		"column id is both key and old":          func(d *pair.Definition) { d.Old = []string{"id"} },
		"column full_name is both new and stamp": func(d *pair.Definition) { d.Stamp = "full_name" },
		"column id is both key and key":          func(d *pair.Definition) { d.Key = []string{"id", "id"} },
		"old column: name":                       func(d *pair.Definition) { d.Old = []string{""} },
		"stamp column: name":                     func(d *pair.Definition) { d.Stamp = "" },
		"64 bytes":                               func(d *pair.Definition) { d.New = []string{strings.Repeat("x", 64)} },
		"2 forward entries for 1 columns": func(d *pair.Definition) {
			d.Forward, d.Types = []string{"{user_name}", "1"}, []string{"text"}
		},
		"2 backward entries for 1 columns":                                      func(d *pair.Definition) { d.Backward = []string{"{full_name}", "1"} },
		"2 type entries for 1 columns":                                          func(d *pair.Definition) { d.Types = []string{"text", "int"} },
		"a forward expression is empty":                                         func(d *pair.Definition) { d.Forward, d.Types = []string{" "}, []string{"text"} },
		"forward expression: sql, byte 6: {full_name} is not one of user_name":  func(d *pair.Definition) { d.Forward, d.Types = []string{"upper({full_name})"}, []string{"text"} },
		"needs the SQL type of new":                                             func(d *pair.Definition) { d.Forward = []string{"upper({user_name})"} },
		"backward expression: sql, byte 0: {user_name} is not one of full_name": func(d *pair.Definition) { d.Backward = []string{"{user_name}"} },
		"forward expression: sql, byte 0: ' does not end":                       func(d *pair.Definition) { d.Forward, d.Types = []string{"'{user_name}"}, []string{"text"} },
	} {
		d := rename()
		change(&d)
		require.ErrorContains(t, d.Check(), want)
	}
}

func TestStampName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "full_name_stamp", pair.StampName("full_name"))
	long := pair.StampName(strings.Repeat("x", 63))
	require.Len(t, long, ident.MaxBytes)
	require.True(t, strings.HasSuffix(long, "_stamp"))
	require.NotEqual(t, long, pair.StampName(strings.Repeat("x", 62)))
}

// A replaced table has fields of its own, and the text of a pair is what it was before there were any.
func TestReplace(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(rename())
	require.NoError(t, err)
	require.JSONEq(t, `{"table": {"schema": "public", "name": "users"}, "key": ["id"], "old": ["user_name"], "new": ["full_name"], "stamp": "full_name_stamp",
		"forward": ["{user_name}"], "backward": ["{full_name}"]}`, string(text))
	orders := ident.Table{Schema: "public", Name: "orders"}
	d := pair.Definition{Table: orders, Key: []string{"id"}, Into: ident.Table{Schema: "app", Name: "orders_v2"}, IntoKey: []string{"day", "id"}}
	require.NoError(t, d.Check())
	require.Equal(t, "app.orders_v2", d.Name())
	old, fresh := d.Sides(phase.Switch)
	require.Equal(t, []ident.Table{orders, d.Into}, []ident.Table{old, fresh})
	old, fresh = d.Sides(phase.Contract)
	require.Equal(t, []ident.Table{d.Aside(), d.Into}, []ident.Table{old, fresh})
	seen := map[string]bool{d.Fingerprint(): true}
	for _, change := range []func(*pair.Definition){func(d *pair.Definition) { d.IntoKey = []string{"id"} }, func(d *pair.Definition) { d.KeepName = true },
		func(d *pair.Definition) { d.Into.Schema = "public" }} {
		d := d
		change(&d)
		require.False(t, seen[d.Fingerprint()])
		seen[d.Fingerprint()] = true
	}
	require.True(t, d.Meets(pair.Definition{Table: orders}) && pair.Definition{Table: d.Into}.Meets(d))
	require.False(t, d.Meets(rename()) || rename().Meets(rename()))
	for want, change := range map[string]func(*pair.Definition){
		"needs the key of either table":     func(d *pair.Definition) { d.IntoKey = nil },
		"column day is named twice":         func(d *pair.Definition) { d.IntoKey = []string{"day", "day"} },
		"each column needs an expression":   func(d *pair.Definition) { d.New = []string{"x"} },
		"KeepName needs both in one schema": func(d *pair.Definition) { d.KeepName = true },
		"column: name":                      func(d *pair.Definition) { d.Key = []string{""} },
	} {
		d := d
		change(&d)
		require.ErrorContains(t, d.Check(), want)
	}
}
