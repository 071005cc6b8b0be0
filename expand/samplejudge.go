package expand

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// outcome is one row of the sample, and what became of it.
type outcome struct {
	n                     int64
	key                   []string
	old, new, byGo        string // as PostgreSQL shows them
	newRefused, goRefused string
	moved                 bool // another session makes another value
	value, have           legible
	err                   error // of Go's forward
}

// legible is a scan destination that keeps its error: what a Go type does not take is a finding.
type legible struct {
	to   any
	null bool
	err  error
}

var errIllegible = errors.New("the pair's Go type does not take it")

// Scan implements sql.Scanner.
func (l *legible) Scan(src any) error {
	l.null = src == nil
	if s, ok := l.to.(sql.Scanner); ok {
		if err := s.Scan(src); err != nil {
			l.err = fmt.Errorf("%w: %w", errIllegible, err)
		}
		return nil
	}
	return fmt.Errorf("%T is no Scanner", l.to)
}

// tally counts rows of one kind and remembers the first.
type tally struct {
	n     int
	first string
}

func (t *tally) add(o *outcome, why string) {
	if t.n++; t.n == 1 {
		t.first = o.at() + ": " + why
	}
}

func (o *outcome) at() string { return "key {" + strings.Join(o.key, ",") + "}, old " + o.old }

// findings are what the operator should know of the sample.
type findings struct {
	outcomes                []*outcome
	bad, null, unread, lost tally
}

// String is "" where every row is as it should be.
func (f *findings) String() string {
	var out []string
	for _, c := range []struct {
		tally
		says string
	}{
		{f.bad, "do not convert, so backfill.Run would set them aside as bad rows"},
		{f.null, "are NULL, and the pair's Go type has no NULL: declare it with *T or sql.Null[T]"},
		{f.unread, "cannot be read into the pair's Go type"},
		{f.lost, "come back from new as another old value"},
	} {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s (%s)", c.n, c.says, c.first))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("of %d sampled rows %s", len(f.outcomes), strings.Join(out, "; "))
}

// note counts a row that Go does not convert.
func (f *findings) note(o *outcome, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errIllegible):
		f.unread.add(o, err.Error())
	case errors.Is(err, ErrNull):
		f.null.add(o, err.Error())
	default:
		f.bad.add(o, err.Error())
	}
	return true
}

// illegible refuses a pair whose Go type takes nothing of what is there.
func (f *findings) illegible() error {
	readable := func(o *outcome) bool { return o.value.err == nil && !o.value.null }
	if f.unread.n > 0 && !slices.ContainsFunc(f.outcomes, readable) {
		return fmt.Errorf("%w: of %d rows none can be read (%s): declare the pair with another Go type", ErrConversion, len(f.outcomes), f.unread.first)
	}
	return nil
}

// convert runs the rows through forward in Go.
func (s *sample) convert(ctx context.Context, from string, typ sampleType) (*made, error) {
	rows, err := s.tx.QueryContext(ctx, `SELECT s.tandem_n, s.tandem_key, `+shownSQL("s."+s.old)+`, s.`+s.old+` FROM `+from+` s ORDER BY s.tandem_n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := &made{typ: typ}
	for rows.Next() {
		o := &outcome{value: legible{to: s.c.ScanOld()}}
		if err := rows.Scan(&o.n, pq.Array(&o.key), &o.old, &o.value); err != nil {
			return nil, err
		}
		s.outcomes = append(s.outcomes, o)
		if o.err = o.value.err; o.err != nil {
			continue
		}
		o.err = m.add(o.n, func() ([]any, error) { return s.c.Forward(o.value.to) })
	}
	return m, rows.Err()
}

// judge compares what Go and SQL made, and returns what Go makes of it on the way back.
func (s *sample) judge(ctx context.Context, typ sampleType) (*made, error) {
	rows, err := s.tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s, %s, coalesce(tandem_new_says, ''), coalesce(tandem_go_says, ''), %t AND
		(tandem_again::text COLLATE "C", tandem_again_says) IS DISTINCT FROM (%s::text COLLATE "C", tandem_new_says), %s FROM pg_temp.tandem_sample ORDER BY tandem_n`,
		shownSQL(s.have), shownSQL("tandem_go"), s.d.HasForward(), s.new, s.have))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	back := &made{typ: typ}
	for i := 0; rows.Next(); i++ {
		o := s.outcomes[i]
		o.have.to = s.c.ScanNew()
		if err := rows.Scan(&o.new, &o.byGo, &o.newRefused, &o.goRefused, &o.moved, &o.have); err != nil {
			return nil, err
		}
		if err := s.verdict(o); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", o.at(), ErrConversion, err)
		}
		if o.err != nil || s.c.Backward == nil {
			continue
		}
		if err := back.add(o.n, func() ([]any, error) { return s.c.Backward(o.have.to) }); err != nil {
			return nil, fmt.Errorf("%s: %w: forward makes %s, and the way back is none: %w", o.at(), ErrConversion, o.new, err)
		}
	}
	return back, rows.Err()
}

// verdict is nil for a row that converts, and for one that neither form converts, which is counted.
func (s *sample) verdict(o *outcome) error {
	if o.err == nil && o.goRefused != "" {
		o.err = errors.New(o.goRefused)
	}
	switch inSQL := s.d.HasForward(); {
	case o.err != nil && inSQL && o.newRefused == "" && !errors.Is(o.err, ErrNull) && !errors.Is(o.err, errIllegible):
		return fmt.Errorf("while Go refuses it (%w), SQL makes %s", o.err, o.new)
	case s.note(o, o.err):
		return nil
	case o.newRefused != "":
		return fmt.Errorf("while Go makes %s, SQL refuses it (%s)", o.byGo, o.newRefused)
	case o.moved:
		return fmt.Errorf("SQL makes %s, and another value where TimeZone, DateStyle or another setting is different", o.new)
	case o.have.err != nil:
		return fmt.Errorf("forward makes %s: %w", o.new, o.have.err)
	}
	same, err := unpanicked(func() (bool, error) { return s.c.Equal(o.value.to, o.have.to) })
	switch {
	case same && err == nil:
		return nil
	case s.d.HasForward():
		return errors.Join(fmt.Errorf("while Go makes %s, SQL makes %s", o.byGo, o.new), err)
	}
	return errors.Join(fmt.Errorf("forward makes what is stored as %s, and once more another value: declare Equal if they are the same, else forward must depend on its argument alone",
		o.new), err)
}

// judgeBack wants forward of what the way back makes to be new.
func (s *sample) judgeBack(ctx context.Context) error {
	rows, err := s.tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s, coalesce(tandem_back_says, ''), tandem_back::text COLLATE "C" IS DISTINCT FROM %s::text COLLATE "C", tandem_back
		FROM pg_temp.tandem_sample ORDER BY tandem_n`, shownSQL("tandem_back"), s.old))
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		o, back := s.outcomes[i], legible{to: s.c.ScanOld()}
		var shown, refused string
		var lost bool
		if err := rows.Scan(&shown, &refused, &lost, &back); err != nil {
			return err
		}
		if o.err != nil {
			continue
		}
		if refused != "" {
			return fmt.Errorf("%s: %w: forward makes %s, and backward of that is refused (%s)", o.at(), ErrConversion, o.new, refused)
		}
		same, err := unpanicked(func() (bool, error) { return s.c.Equal(back.to, o.have.to) })
		if !same || err != nil || back.err != nil {
			return fmt.Errorf("%s: %w: forward makes %s, backward %s of that, and forward of that is another value: %w", o.at(), ErrConversion, o.new, shown,
				errors.Join(ErrLossy, err, back.err))
		}
		if lost {
			s.lost.add(o, "new "+o.new+", back "+shown)
		}
	}
	return rows.Err()
}

// unpanicked turns a panic of the application's conversion into an error.
func unpanicked[T any](convert func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the conversion panicked: %v", p)
		}
	}()
	return convert()
}
