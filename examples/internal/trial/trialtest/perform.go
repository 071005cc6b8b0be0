// Package trialtest runs a trial.Program in a test.
package trialtest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

// Perform is one run with as few rows as the program takes and -json: its exit code, its object without the operations, and its story. The SQL of spoil is run before the proof.
func Perform(t *testing.T, p trial.Program, spoil string) (code int, object map[string]int64, story string) {
	t.Helper()
	dsn := pgtest.DSN(t)
	var stdout, stderr bytes.Buffer
	code = p.Perform(t.Context(), func(name string) string { return server.With(dsn, "", "application_name="+name) },
		trial.Options{Rows: p.Least, JSON: true, Spoil: spoil}, &stdout, &stderr)
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &object), "%s%s", stdout.String(), stderr.String())
	require.Greater(t, object["operations"], int64(trial.Between))
	delete(object, "operations")
	return code, object, stderr.String()
}
