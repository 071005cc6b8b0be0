package catalog

import (
	"fmt"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// stands lists what old of a column set has, and for each whether the application has made something on new that stands for it: an index or a constraint with the
// name of the twin, of the same kind, unique where old's is, which is not judged further.
func stands(d pair.Definition, indexes []index, constraints []constraint) []Twin {
	there := map[string]bool{} // by kind and name
	unique := map[string]bool{}
	for _, x := range indexes {
		there["index "+x.Name] = x.Valid
		unique[x.Name] = x.Unique
		there["unique constraint "+x.Name] = x.Valid && x.Constraint == "u"
	}
	for _, k := range constraints {
		there[k.kind()+" "+k.Name] = k.Valid
	}
	alter := "ALTER TABLE " + d.Table.SQL()
	var out []Twin
	for _, x := range indexes {
		if !x.Mentions || x.Constraint == "x" {
			continue
		}
		w := Twin{Kind: "index", Of: x.Name, Name: TwinName(d, x.Name)}
		w.Finish = []string{fmt.Sprintf("ALTER INDEX %s.%s RENAME TO %s", ident.Quote(d.Table.Schema), ident.Quote(w.Name), ident.Quote(x.Name))}
		if x.Constraint == "u" { // renames its index along
			w.Kind = "unique constraint"
			w.Finish = []string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(w.Name), ident.Quote(x.Name))}
		}
		w.Ready = there[w.Kind+" "+w.Name] && (unique[w.Name] || !x.Unique)
		out = append(out, w)
	}
	for _, k := range constraints {
		if k.Mentions {
			out = append(out, Twin{Kind: k.kind(), Of: k.Name, Name: TwinName(d, k.Name), Ready: there[k.kind()+" "+TwinName(d, k.Name)],
				Finish: []string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(TwinName(d, k.Name)), ident.Quote(k.Name))}})
		}
	}
	return out
}
