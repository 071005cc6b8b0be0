package contract_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// keeper writes rows of its own, reads each back at once, and wants to find what it wrote.
type keeper struct {
	*clerk
	name  string
	do    func(fn func(from, into string) error) error
	turns int
}

// keep goes on until ctx ends. What is refused it must be told of: any error ends it.
func (k *keeper) keep(ctx context.Context) error {
	for ; ctx.Err() == nil; k.turns++ {
		email := fmt.Sprint(k.name, " ", k.turns)
		var id int64
		steps := []struct {
			what, query string
			args        func() []any
			want        []string
		}{
			{"insert", `INSERT INTO %[2]s (email, total) VALUES ($1, 1) RETURNING id`, func() []any { return []any{email} }, []string{email}},
			{"update", `UPDATE %[2]s SET email = $2, created_at = created_at - interval '40 days' WHERE id = $1 RETURNING id`, func() []any { return []any{id, email + "!"} }, []string{email + "!"}},
			{"delete", `DELETE FROM %[2]s WHERE id = $1 RETURNING id`, func() []any { return []any{id} }, []string{}},
		}
		for _, s := range steps {
			err := k.do(func(from, into string) error {
				return k.db.GetContext(k.ctx, &id, fmt.Sprintf(s.query+` -- %[1]s`, from, into), s.args()...)
			})
			if err != nil {
				return fmt.Errorf("%s, %s of %q: %w", k.name, s.what, email, err)
			}
			got := []string{}
			err = k.do(func(from, _ string) error {
				got = got[:0]
				return k.db.SelectContext(k.ctx, &got, `SELECT email FROM `+from+` WHERE id = $1`, id)
			})
			if err != nil {
				return fmt.Errorf("%s, read after %s: %w", k.name, s.what, err)
			}
			if fmt.Sprint(got) != fmt.Sprint(s.want) {
				return fmt.Errorf("%s, read after %s: %q, want %q", k.name, s.what, got, s.want)
			}
		}
	}
	return nil
}

// Old binaries, wrappers and a late member write and read all the time while the table is replaced, forth, back and forth again.
func TestReplaceUnderLoad(t *testing.T) {
	t.Parallel()
	for name, keepName := range map[string]bool{"keep name": true, "new name": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := expand.Replace(expand.ReplaceSpec{Table: "orders", Into: "orders_v2", IntoKey: []string{"created_at", "id"}, KeepName: keepName})
			c := newClerk(t, strings.Replace(ordersSQL, "total_cents bigint", "total numeric(10,2)", 1)+`; ALTER TABLE orders_v2 ALTER COLUMN created_at SET DEFAULT now()`, r)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			late := c.bare("late", 500*time.Millisecond)
			through := func(m *switchover.Member) func(fn func(from, into string) error) error {
				return func(fn func(from, into string) error) error {
					return r.Do(t.Context(), m, func(f *expand.Tables) error { return fn(f.From(), f.Into()) })
				}
			}
			keepers := []*keeper{{clerk: c, name: "wrapper", do: through(c.member)}, {clerk: c, name: "late", do: through(late)}}
			if keepName {
				keepers = append(keepers, &keeper{clerk: c, name: "old", do: func(fn func(from, into string) error) error { return fn("orders", "orders") }})
			}
			var wg sync.WaitGroup
			errs := make([]error, len(keepers))
			for i, k := range keepers {
				wg.Go(func() { errs[i] = k.keep(ctx) })
			}
			c.toContractTable()
			c.revert(switchover.Switch)
			c.advance(switchover.Contract)
			c.apply(contract.Drop)
			stop()
			wg.Wait()
			for i, err := range errs {
				require.NoError(t, err)
				require.Positive(t, keepers[i].turns)
				t.Log(keepers[i].name, keepers[i].turns)
			}
			_, fresh := r.Definition().Sides(switchover.Complete)
			require.Equal(t, 1000, c.number(`SELECT count(*) FROM `+fresh.SQL()))
		})
	}
}
