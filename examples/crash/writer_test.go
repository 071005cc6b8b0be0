package crash_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-go/tandem/internal/pg"
)

// known is what a writer knows of a row of its own, by its new value.
type known struct {
	id    int64 // 0: it was inserted here and is not written again
	value string
	there bool     // acknowledged
	open  []string // written after value, and nobody knows whether they were: the connection was lost
}

// may tells whether the row may have this value.
func (k *known) may(value string) bool {
	return k.there && value == k.value || slices.Contains(k.open, value)
}

// pause leaves the processor to the operator, and still puts some writes between any two of his messages.
const pause = 4 * time.Millisecond

// writer writes its own rows, one write after the other, and each value once.
type writer struct {
	name    string
	rows    map[string]*known // by email
	emails  []string          // of the rows that are written again and again
	n       int
	refuses bool // it may be refused: it writes only old

	update func(ctx context.Context, kind int, u user) error
	insert func(ctx context.Context, u user) error
	get    func(ctx context.Context, id int64) (string, error) // its new value

	answered atomic.Int64 // writes whose end it knows
	tally
}

// tally counts writes by their end.
type tally struct{ acknowledged, refused, deadlocked, unknown int }

func (t *tally) add(o tally) {
	t.acknowledged += o.acknowledged
	t.refused += o.refused
	t.deadlocked += o.deadlocked
	t.unknown += o.unknown
}

// own fills in the rows that are the writer's already.
func (w *writer) own(rows []row, values map[string]string) {
	w.rows = map[string]*known{}
	for _, r := range rows {
		if strings.HasPrefix(r.Email, w.name+" ") {
			w.rows[r.Email] = &known{id: r.ID, value: values[r.Email], there: true}
			w.emails = append(w.emails, r.Email)
		}
	}
}

// run writes until stop is closed, and lets the write that it is at come to its end. It returns early with what should not happen.
func (w *writer) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := w.write(ctx); err != nil {
			return fmt.Errorf("write %d: %w", w.n, err)
		}
		_ = pg.Sleep(ctx, pause)
	}
}

// write makes every seventh write an insert, and reads back what it has written otherwise.
func (w *writer) write(ctx context.Context) error {
	w.n++
	value := fmt.Sprintf("%s %d", w.name, w.n)
	if w.n%7 == 0 {
		email := fmt.Sprintf("%s new %d", w.name, w.n)
		w.rows[email] = &known{}
		return w.note(w.rows[email], value, w.insert(ctx, user{Email: email, FullName: value}))
	}
	email := w.emails[w.n%len(w.emails)]
	k := w.rows[email]
	if err := w.note(k, value, w.update(ctx, w.n, user{ID: k.id, Email: email, FullName: value})); err != nil {
		return err
	}
	got, err := w.get(ctx, k.id)
	switch state := pg.SQLState(err); {
	case err == nil && !k.may(got):
		return fmt.Errorf("%s reads %q: acknowledged was %q, and after it perhaps %q", email, got, k.value, k.open)
	case err == nil, pg.ConnectionLost(err), w.refuses && state == pg.UndefinedColumn:
		return nil
	default:
		return err
	}
}

// note keeps what became of a write: done, not done, or nobody knows.
func (w *writer) note(k *known, value string, err error) error {
	switch state := pg.SQLState(err); {
	case err == nil:
		k.value, k.there, k.open = value, true, nil
		w.acknowledged++
	case pg.ConnectionLost(err):
		k.open = append(k.open, value)
		w.unknown++
		return nil
	case w.refuses && (state == pg.StaleStamp || state == pg.UndefinedColumn):
		w.refused++
	case state == pg.Deadlock: // of a reader that becomes a writer, with a step of the operator: as ever, to be tried again
		w.deadlocked++
	default:
		return err
	}
	w.answered.Add(1)
	return nil
}

// check says what is wrong with the writer's rows, given the values of all rows.
func (w *writer) check(values map[string]string) error {
	var wrong error
	for email, k := range w.rows {
		value, there := values[email]
		if there && !k.may(value) || !there && k.there {
			wrong = errors.Join(wrong, fmt.Errorf("%s has %q (there: %v), acknowledged was %q, and after it perhaps %q", email, value, there, k.value, k.open))
		}
	}
	for email, value := range values {
		if strings.HasPrefix(email, w.name+" ") && w.rows[email] == nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s has %q, and was never written", email, value))
		}
	}
	return wrong
}
