package vet_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/tandem-go/tandem/contract/vet"
)

func TestAnalyzer(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]vet.Options{
		"texts":   {},
		"ignored": {},
		"copies":  {},
		"limited": {Tables: []string{"users", "public.orders"}},
		"columns": {Columns: []string{"public.users.user_name", `"items".PRICE`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := vet.New(o)
			require.NoError(t, err)
			analysistest.Run(t, analysistest.TestData(), a, name)
		})
	}
}
