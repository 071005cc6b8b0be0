package catalog

import (
	"fmt"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// statistics is a statistics object (CREATE STATISTICS).
type statistics struct {
	Schema   string `db:"schema"`
	Name     string `db:"name"`
	Body     string `db:"body"`
	Mentions bool   `db:"mentions"`
	Target   int    `db:"target"` // -1: the default
	Comment  string `db:"comment"`
	Owner    string `db:"owner"`
}

const statisticsSQL = `
	SELECT (SELECT nspname FROM pg_namespace WHERE oid = s.stxnamespace) AS schema, s.stxname AS name, ` + statisticsBody + ` AS body, coalesce(s.stxstattarget, -1) AS target,
	       coalesce(obj_description(s.oid, 'pg_statistic_ext'), '') AS comment, pg_get_userbyid(s.stxowner) AS owner,
	       s.stxkeys::int2[] && $2::int2[] OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
	         AND d.refobjid = s.stxrelid AND d.refobjsubid = ANY ($2::int4[])) AS mentions
	FROM pg_statistic_ext s WHERE s.stxrelid = $1 ORDER BY s.stxname`

// statisticsTwin is one on new. It goes with its column; ANALYZE fills it.
func statisticsTwin(d pair.Definition, o statistics, body string, all []statistics) Twin {
	w := Twin{Kind: "statistics object", Of: o.Name, Name: TwinName(d, o.Name)}
	name := func(name string) string { return ident.Quote(o.Schema) + "." + ident.Quote(name) }
	w.Create = []string{fmt.Sprintf("CREATE STATISTICS %s %s FROM %s", name(w.Name), body, d.Table.SQL())}
	w.Finish = []string{fmt.Sprintf("ALTER STATISTICS %s RENAME TO %s", name(w.Name), ident.Quote(o.Name))}
	for _, other := range all {
		if other.Schema != o.Schema || other.Name != w.Name {
			continue
		}
		w.Ready = other.Body == body
		if !w.Ready { // of an old whose definition has changed meanwhile
			w.Create = append([]string{"DROP STATISTICS " + name(w.Name)}, w.Create...)
		}
		if other.Owner != o.Owner {
			w.Finish = append(w.Finish, "ALTER STATISTICS "+name(o.Name)+" OWNER TO "+ident.Quote(o.Owner))
		}
	}
	if o.Target >= 0 {
		w.Finish = append(w.Finish, fmt.Sprintf("ALTER STATISTICS %s SET STATISTICS %d", name(o.Name), o.Target))
	}
	if o.Comment != "" {
		w.Finish = append(w.Finish, "COMMENT ON STATISTICS "+name(o.Name)+" IS "+ident.Literal(o.Comment))
	}
	return w
}
