package vet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract/vet"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"", " ", "a.b.c", "a.", ".a", "a b", "users;", "'users'", "1", `"`, "a..b", "users.*"} {
		_, err := vet.New(vet.Options{Tables: []string{"users", table}})
		require.ErrorContains(t, err, "is not the name of a table: write it as in SQL", "%q", table)
	}
	for _, column := range []string{"", "user_name", "a.b.c.d", "users.", ".user_name", "users user_name", "users.*"} {
		_, err := vet.New(vet.Options{Columns: []string{column}})
		require.ErrorContains(t, err, "is not a column with its table: write it as in SQL", "%q", column)
	}
	_, err := vet.New(vet.Options{Tables: []string{"a b"}, Columns: []string{"c"}})
	require.ErrorContains(t, err, `"a b"`)
	require.ErrorContains(t, err, `"c"`)
}

// Lists, spaces and quotes in flags; a bad one is refused, an empty one is none.
func TestFlags(t *testing.T) {
	t.Parallel()
	a, err := vet.New(vet.Options{})
	require.NoError(t, err)
	for _, list := range []string{"", "users", " users , public.orders", `"a,b"."c.d",e`} {
		require.NoError(t, a.Flags.Set("tables", list), list)
	}
	for _, list := range []string{",", "users,", "users orders", "users,a.b.c"} {
		require.ErrorContains(t, a.Flags.Set("tables", list), "write it as in SQL", list)
	}
	require.NoError(t, a.Flags.Set("columns", "users.user_name, public.items.price"))
	require.ErrorContains(t, a.Flags.Set("columns", "users"), "write it as in SQL, such as users.user_name")
}
