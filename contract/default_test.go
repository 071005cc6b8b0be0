package contract_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

const pricesSQL = `CREATE TABLE items (id bigint PRIMARY KEY, price text NOT NULL DEFAULT (1 + 1)::text);
	INSERT INTO items SELECT i, i::text FROM generate_series(1, 100) i`

// The default moves through the conversion, where SQL can convert; else the gate to Complete asks for it.
func TestDefaultOfAnotherType(t *testing.T) {
	t.Parallel()
	spec := expand.Spec[string, int64]{Table: "items", Old: "price", New: "cents", Type: "bigint",
		Forward: func(s string) (int64, error) {
			n, err := strconv.ParseInt(s, 10, 64)
			return n * 100, err
		},
		Backward:   func(n int64) (string, error) { return strconv.FormatInt(n/100, 10), nil },
		ForwardSQL: `{price}::bigint * 100`}
	inGo := spec
	inGo.ForwardSQL = ""
	for name, s := range map[string]expand.Spec[string, int64]{"sql": spec, "go": inGo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLonelyWalker(t, pricesSQL, expand.Convert(s))
			w.toContract()
			for range 2 {
				w.apply(contract.Finish)
			}
			if name == "go" {
				err := contract.Apply(w.ctx, w.db, w.pair, contract.Drop, contract.Options{Gates: switchover.Options{Soak: switchover.None}})
				var refused *switchover.GateError
				require.ErrorAs(t, err, &refused)
				require.Len(t, refused.Gates, 1)
				require.Equal(t, "default", refused.Gates[0].Name)
				w.exec(`ALTER TABLE items ALTER cents SET DEFAULT 200`)
			}
			w.apply(contract.Drop)
			w.exec(`INSERT INTO items (id) VALUES (0)`)
			require.Equal(t, 200, w.number(`SELECT cents FROM items WHERE id = 0`))
			require.Equal(t, 100, w.number(`SELECT count(*) FROM items WHERE cents = id * 100 AND id > 0`))
		})
	}
}
