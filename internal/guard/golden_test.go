package guard_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".sql")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func price() pair.Definition {
	return pair.Definition{
		Table: ident.Table{Schema: "app", Name: "Items"}, Key: []string{"shop", "id"},
		Old: []string{"price"}, New: []string{"price_cents"}, Types: []string{"bigint"}, Stamp: "price_cents_stamp",
		Forward: []string{"round({price} * 100)"},
	}
}

func TestInstallText(t *testing.T) {
	t.Parallel()
	onlyBackward := goOnly()
	onlyBackward.Backward = []string{"{full_name}"}
	lossy := move()
	lossy.ToKey, lossy.Key, lossy.Types, lossy.Forward = []string{"b", "a"}, []string{"id", "shop"}, []string{"varchar(9)"}, []string{"lower({bio})"}
	for name, s := range map[string]guard.Spec{
		"sql":                         {Definition: rename()},
		"sql_partitioned":             {Definition: rename(), Partitioned: true},
		"sql_triggered":               {Definition: rename(), Triggered: true},
		"sql_no_backward":             {Definition: price(), Loose: map[string]bool{"price": true}},
		"sql_no_backward_partitioned": {Definition: price(), Loose: map[string]bool{"price": true}, Partitioned: true},
		"sql_acted":                   {Definition: rename(), Acted: true},
		"moved":                       {Definition: move()},
		"moved_loose":                 {Definition: lossy, Loose: map[string]bool{"bio": true}},
		"go":                          {Definition: goOnly()},
		"go_partitioned":              {Definition: goOnly(), Partitioned: true},
		"go_backward":                 {Definition: onlyBackward},
		"go_backward_partitioned":     {Definition: onlyBackward, Partitioned: true},
	} {
		for _, mode := range []guard.Mode{guard.Repair, guard.Reject, guard.Reverse} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				if mode != guard.Repair && strings.HasPrefix(name, "go") {
					// no conversion is in the text, so it is that of the SQL pair
					same := s
					same.Definition = rename()
					require.Equal(t, guard.Install(same, mode), guard.Install(s, mode))
					return
				}
				golden(t, name+"_"+string(mode), strings.Join(guard.Install(s, mode), ";\n\n")+";\n")
			})
		}
	}
}

func TestRemoveText(t *testing.T) {
	t.Parallel()
	golden(t, "remove", strings.Join(guard.Remove(price()), ";\n")+";\n")
}

// Names of functions must differ for different pairs: the functions of all tables share schema tandem.
func TestFunctionsOfDifferentPairsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]ident.Table{}
	long := strings.Repeat("x", 60)
	for _, table := range []ident.Table{
		{Schema: "a", Name: "b"}, {Schema: "a.b", Name: "c"}, {Schema: "a", Name: "b.c"}, {Schema: "A", Name: "b"},
		{Schema: long, Name: "one"}, {Schema: long, Name: "two"},
	} {
		for _, f := range guard.Functions(pair.Definition{Table: table, New: []string{"n"}}) {
			require.LessOrEqual(t, len(f), ident.MaxBytes)
			other, taken := seen[f]
			require.False(t, taken, "%q belongs to %s and to %s", f, other, table)
			seen[f] = table
		}
	}
}
