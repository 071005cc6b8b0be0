package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// Options of Examine. The zero value is complete.
type Options struct {
	Long time.Duration // from how long on a transaction is long, 1 s at least; defaults to 5 min
	Keys float64       // from which share of its values on a key is running out, between 0 and 1; defaults to 0.7
	WAL  int64         // from how many bytes on a replication slot keeps much; defaults to 1 GiB
}

func (o Options) withDefaults() (Options, error) {
	if o.Long == 0 {
		o.Long = 5 * time.Minute
	}
	if o.Keys == 0 {
		o.Keys = 0.7
	}
	if o.WAL == 0 {
		o.WAL = 1 << 30
	}
	switch {
	case o.Long < time.Second:
		return o, fmt.Errorf("options: long %s: must be 1 s at least", o.Long)
	case o.Keys < 0 || o.Keys > 1:
		return o, fmt.Errorf("options: keys %g: must lie between 0 and 1", o.Keys)
	case o.WAL < 0:
		return o, fmt.Errorf("options: %d bytes of WAL: must be positive", o.WAL)
	}
	return o, nil
}

// Examine looks at the table of a pair, the server that it is on, and the connection. Errors: those of expand.Plan for a table or a key that does not fit, and those of the connection.
func Examine(ctx context.Context, db *sqlx.DB, p expand.Any, o Options) ([]switchover.Finding, error) {
	findings, err := examine(ctx, db, p, o)
	if err != nil {
		return nil, fmt.Errorf("doctor of %s: %w", p.Name(), err)
	}
	return findings, nil
}

func examine(ctx context.Context, db *sqlx.DB, p expand.Any, o Options) (out []switchover.Finding, err error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	t, err := catalog.Read(ctx, db, p.Definition().Table)
	if err != nil {
		return nil, err
	}
	values := strings.NewReplacer("{oid}", fmt.Sprint(t.OID), "{long}", fmt.Sprintf("interval '%f s'", o.Long.Seconds()), "{keys}", fmt.Sprint(o.Keys), "{wal}", fmt.Sprint(o.WAL))
	for _, c := range checks() {
		var rows []struct {
			Place string `db:"place"`
			What  string `db:"what"`
		}
		if err := db.SelectContext(ctx, &rows, values.Replace(c.sql)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, pg.Cause(ctx, err))
		}
		for _, r := range rows {
			out = append(out, switchover.Finding{Name: c.name, Where: r.Place, What: r.What, Harm: c.harm, Cure: c.cure})
		}
	}
	said, err := statements(ctx, db, p)
	if err != nil {
		return nil, err
	}
	connection, err := switchover.Doctor(ctx, db)
	return append(append(out, said...), connection...), err
}

// check is a query whose rows are findings: place and what.
type check struct {
	name, sql, harm, cure string
}

func checks() []check {
	return append(append(sessionChecks(), triggerChecks()...), replicationChecks()...)
}
