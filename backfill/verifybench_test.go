package backfill_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/server"
)

// verifyCases are conversions inside the server and in Go.
var verifyCases = []struct {
	name string
	pair expand.Any
}{
	{"rename", benchPair(false)},
	{"sql-both-ways", expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text",
		Forward:    func(s string) (string, error) { return strings.ReplaceAll(s, "user", "USER"), nil },
		Backward:   func(s string) (string, error) { return strings.ReplaceAll(s, "USER", "user"), nil },
		ForwardSQL: "replace({user_name}, 'user', 'USER')", BackwardSQL: "replace({full_name}, 'USER', 'user')"})},
	{"go", expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: same})},
	{"go-both-ways", benchPair(true)},
}

func same(s string) (string, error) { return s, nil }

// BenchmarkVerify verifies a table after its copy, in one run, with one worker each. Metric: the time of the verification by that of the copy.
func BenchmarkVerify(b *testing.B) {
	srv, err := server.Start(b.Context(), server.Options{Settings: benchSettings})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, srv.Close()) })
	for _, c := range verifyCases {
		b.Run(c.name, func(b *testing.B) {
			bench := &bench{b, benchCase{name: c.name, key: "i", keyType: "bigint"}, srv}
			var ratio, speed float64
			for range b.N {
				copied, verified := bench.verify(c.pair)
				ratio += verified.Seconds() / copied.Seconds()
				speed += float64(*benchRows) / verified.Seconds()
			}
			b.ReportMetric(ratio/float64(b.N), "verify/copy")
			b.ReportMetric(speed/float64(b.N), "rows/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (b *bench) verify(p expand.Any) (copied, verified time.Duration) {
	b.Helper()
	db := b.tableOf(*benchRows, p)
	defer func() { require.NoError(b, db.Close()) }()
	ctx := context.Background()
	began := time.Now()
	_, err := backfill.Run(ctx, db, p, backfill.Options{})
	copied = time.Since(began)
	require.NoError(b, err)
	began = time.Now()
	report, err := backfill.Verify(ctx, db, p, backfill.VerifyOptions{})
	verified = time.Since(began)
	require.NoError(b, err)
	require.Equal(b, backfill.Report{Rows: int64(*benchRows)}, report)
	db.MustExec(`DROP TABLE users`)
	return copied, verified
}
