package backfill_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// writer changes rows of its own until it is stopped, and remembers what they must be.
type writer struct {
	*bed
	turns chan struct{} // a Progress callback waits here for one write
	last  map[int64]string
	gone  map[int64]bool
}

// write goes over its ids, n of every four rows, and does each thing in turn: update, delete, insert again.
func (w *writer) write(ctx context.Context, n int64, op func(kind string, id int64, name string) error) error {
	for turn := 0; ; turn++ {
		for id := n; id <= 2000; id += 4 {
			kind := "update"
			switch {
			case w.gone[id]:
				kind = "insert"
			case (id+int64(turn))%3 == 0:
				kind = "delete"
			}
			name := fmt.Sprintf("turn %d of %d", turn, id)
			if err := op(kind, id, name); err != nil {
				return fmt.Errorf("%s of %d: %w", kind, id, err)
			}
			w.gone[id], w.last[id] = kind == "delete", name
			select {
			case w.turns <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Run copies 2000 rows while a wrapper and a stray write half of them, one write for each statement of Run and as many as they get in besides.
func TestWritersWhileRunning(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*expand.Pair[string, string]{"sql": fullName, "go": shout} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(2000), p)
			_, users := b.join()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			turns := make(chan struct{})
			wrapped := &writer{bed: b, turns: turns, last: map[int64]string{}, gone: map[int64]bool{}}
			stray := &writer{bed: b, turns: turns, last: map[int64]string{}, gone: map[int64]bool{}}
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() {
				errs[0] = wrapped.write(ctx, 1, func(kind string, id int64, name string) error {
					u := user{ID: id}
					u.FullName, _ = p.Forward(name)
					switch kind {
					case "insert":
						return users.Insert(t.Context(), &u)
					case "update":
						return users.Update(t.Context(), &u)
					}
					return users.Delete(t.Context(), id)
				})
			})
			wg.Go(func() {
				errs[1] = stray.write(ctx, 2, func(kind string, id int64, name string) error {
					_, err := b.db.ExecContext(t.Context(), map[string]string{
						"insert": `INSERT INTO users (id, user_name) VALUES ($1, $2)`,
						"update": `UPDATE users SET user_name = $2 WHERE id = $1`,
						"delete": `DELETE FROM users WHERE id = $1 AND $2 <> ''`}[kind], id, name)
					return err
				})
			})
			_, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 25, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) { <-turns; <-turns }})
			stop()
			wg.Wait()
			require.NoError(t, err)
			require.NoError(t, errs[0])
			require.NoError(t, errs[1])
			_, err = backfill.Sweep(t.Context(), b.db, p)
			require.NoError(t, err)
			require.NotEmpty(t, wrapped.last)
			require.NotEmpty(t, stray.last)
			for _, w := range []*writer{wrapped, stray} {
				w.kept(p, name == "go")
			}
			require.Zero(t, b.number(unstamped))
			b.verified(b.number(`SELECT count(*) FROM users`))
		})
	}
}

// kept wants each writer's last value in its row.
func (w *writer) kept(p *expand.Pair[string, string], lower bool) {
	w.Helper()
	rows := map[int64][2]string{}
	list := []struct {
		ID  int64  `db:"id"`
		Old string `db:"user_name"`
		New string `db:"full_name"`
	}{}
	require.NoError(w, w.db.SelectContext(w.ctx, &list, `SELECT id, user_name, full_name FROM users`))
	for _, r := range list {
		rows[r.ID] = [2]string{r.Old, r.New}
	}
	for id, name := range w.last {
		row, there := rows[id]
		require.Equal(w, !w.gone[id], there, id)
		if !there {
			continue
		}
		forward, err := p.Forward(name)
		require.NoError(w, err)
		if lower {
			name = strings.ToLower(name)
		}
		require.Equal(w, [2]string{name, forward}, row, id)
	}
}

// A row changes between the read and the write-back: Forward itself changes it, through another connection.
func TestCompareAndSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		rows   []string
		dirty  bool // the row is left for Sweep
	}{
		"by a stray":        {`UPDATE users SET user_name = 'changed' WHERE id = 7`, []string{"changed CHANGED"}, true},
		"by a wrapper":      {`UPDATE users SET user_name = 'changed', full_name = 'Changed', full_name_stamp = 50331649 WHERE id = 7`, []string{"changed Changed"}, false},
		"back and forth":    {`UPDATE users SET user_name = 'changed', full_name_stamp = NULL WHERE id = 7; UPDATE users SET user_name = 'name 7' WHERE id = 7`, []string{"name 7 NAME 7"}, false},
		"to NULL":           {`UPDATE users SET user_name = NULL WHERE id = 7`, []string{"- -"}, true},
		"from NULL":         {`UPDATE users SET user_name = 'changed' WHERE id = 13`, []string{"changed CHANGED"}, true},
		"deleted":           {`DELETE FROM users WHERE id = 7`, []string{}, false},
		"deleted and again": {`DELETE FROM users WHERE id = 7; INSERT INTO users VALUES (7, 'changed')`, []string{"changed CHANGED"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b *bed
			calls := 0
			p := expand.Convert(expand.Spec[*string, *string]{Table: "users", Old: "user_name", New: "full_name", Forward: func(s *string) (*string, error) {
				if b != nil && (s == nil || *s == "name 7") { // nil: Apply tries the conversion
					if calls++; calls == 1 {
						if _, err := b.db.Exec(c.change); err != nil {
							return nil, err
						}
					}
				}
				if s == nil {
					return nil, nil //nolint:nilnil // NULL becomes NULL
				}
				up := strings.ToUpper(*s)
				return &up, nil
			}})
			create := usersSQL(20)
			if name == "from NULL" {
				create += `; UPDATE users SET user_name = 'other' WHERE id = 7; UPDATE users SET user_name = NULL WHERE id = 13`
			}
			b = newBed(t, create, p)
			b.run()
			require.Equal(t, c.dirty, b.number(unstamped) == 1)
			_, err := backfill.Sweep(t.Context(), b.db, p)
			require.NoError(t, err)
			require.Equal(t, []string{}, b.texts(badKeys))
			require.Zero(t, b.number(unstamped))
			changed := map[bool]int{false: 7, true: 13}[name == "from NULL"]
			require.Equal(t, c.rows, b.texts(`SELECT coalesce(user_name, '-') || ' ' || coalesce(full_name, '-') FROM users WHERE id = $1`, changed))
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE id <> $1 AND full_name IS DISTINCT FROM upper(user_name)`, changed))
		})
	}
}

// A stray changes a value to one that its column's collation calls equal, between read and write.
func TestLooseCollation(t *testing.T) {
	t.Parallel()
	var b *bed
	b = newBed(t, `CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TABLE users (id bigint PRIMARY KEY, user_name text COLLATE ci); INSERT INTO users VALUES (1, 'Ada')`,
		expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text", Forward: func(s string) (string, error) {
			if s == "Ada" {
				b.exec(`UPDATE users SET user_name = 'ADA'`)
			}
			return "I am " + s, nil
		}}))
	b.run()
	b.sweep()
	require.Equal(t, []string{"I am ADA"}, b.texts(`SELECT full_name FROM users`))
}
