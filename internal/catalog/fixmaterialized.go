package catalog

import (
	"context"

	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
)

// materializedSQL is what stands around the query of a materialized view, and what is to be said after its indexes. others read it, so that it cannot be dropped.
const materializedSQL = `
	SELECT coalesce(' USING ' || quote_ident(m.amname), '') AS before, coalesce(' TABLESPACE ' || quote_ident(ts.spcname), '') AS place, CASE WHEN c.relispopulated THEN '' ELSE ' WITH NO DATA' END AS data,
	       EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
	         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM c.oid) AS others,
	       array_cat(ARRAY[format('ALTER MATERIALIZED VIEW %s OWNER TO %s', c.oid::regclass, c.relowner::regrole)],
	       array_cat(ARRAY(SELECT format('GRANT %s ON %s TO %s%s', x.privilege_type, c.oid::regclass, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
	                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner),
	       array_cat(ARRAY(SELECT format('COMMENT ON MATERIALIZED VIEW %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class')) WHERE obj_description(c.oid, 'pg_class') IS NOT NULL),
	       ARRAY(SELECT s FROM pg_attribute a CROSS JOIN LATERAL (
	               SELECT format('COMMENT ON COLUMN %s.%I IS %L', c.oid::regclass, a.attname, col_description(a.attrelid, a.attnum)) AS s WHERE col_description(a.attrelid, a.attnum) IS NOT NULL
	               UNION ALL SELECT format('GRANT %s (%I) ON %s TO %s%s', x.privilege_type, a.attname, c.oid::regclass, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
	                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM aclexplode(a.attacl) x
	               UNION ALL SELECT format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET STATISTICS %s', c.oid::regclass, a.attname, a.attstattarget) WHERE a.attstattarget >= 0
	               UNION ALL SELECT format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET (%s)', c.oid::regclass, a.attname, ` + settableOptions + `) WHERE ` + settableOptions + ` <> '') x
	             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)))) AS after
	FROM pg_class c LEFT JOIN pg_am m ON m.oid = c.relam LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace WHERE c.oid = $1`

// materializedAct makes a materialized view again, which PostgreSQL does not replace. It takes ACCESS EXCLUSIVE on it for as long as the query runs.
func materializedAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var about struct {
		Before, Place, Data string
		Others              bool
		After               pq.StringArray
	}
	var indexes []index
	a, err := r.view(ctx, x, func(v view, body string) []Fix {
		sql := []string{"DROP MATERIALIZED VIEW " + v.Name, "CREATE MATERIALIZED VIEW " + v.Name + about.Before + v.Options + about.Place + " AS" + body + about.Data}
		for _, i := range indexes {
			unique := map[bool]string{true: "UNIQUE "}[i.Unique]
			sql = append(append(sql, "CREATE "+unique+"INDEX "+ident.Quote(i.Name)+" ON "+v.Name+" "+i.placed(i.Space)), i.Extras...)
		}
		return inSwitch(append(sql, about.After...)...)
	})
	if err != nil || a == nil {
		return nil, err
	}
	if err := r.get(ctx, &about, materializedSQL, x.OID); err != nil || about.Others {
		return nil, err
	}
	return a, r.tx.SelectContext(ctx, &indexes, indexesSQL, x.OID, pq.Array([]int64{}))
}
