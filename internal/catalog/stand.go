package catalog

import (
	"fmt"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// stands lists what old of a column set has, and for each whether the application has made something on new that stands for it: an index or a constraint with the
// name of the twin, which is not judged further.
func stands(d pair.Definition, indexes []index, constraints []constraint) []Twin {
	there := map[string]bool{}
	for _, x := range indexes {
		there[x.Name] = x.Valid
	}
	for _, k := range constraints {
		there[k.Name] = k.Valid
	}
	alter := "ALTER TABLE " + d.Table.SQL()
	var out []Twin
	for _, x := range indexes {
		if !x.Mentions || x.Constraint == "x" {
			continue
		}
		w := Twin{Kind: "index", Of: x.Name, Name: TwinName(d, x.Name), Ready: there[TwinName(d, x.Name)]}
		switch {
		case x.Constraint == "u": // the constraint takes its index along
			w.Kind = "unique constraint"
			w.Finish = []string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(w.Name), ident.Quote(x.Name))}
		default:
			w.Finish = []string{fmt.Sprintf("ALTER INDEX %s.%s RENAME TO %s", ident.Quote(d.Table.Schema), ident.Quote(w.Name), ident.Quote(x.Name))}
		}
		out = append(out, w)
	}
	for _, k := range constraints {
		if k.Mentions {
			out = append(out, Twin{Kind: k.kind(), Of: k.Name, Name: TwinName(d, k.Name), Ready: there[TwinName(d, k.Name)],
				Finish: []string{fmt.Sprintf("%s RENAME CONSTRAINT %s TO %s", alter, ident.Quote(TwinName(d, k.Name)), ident.Quote(k.Name))}})
		}
	}
	return out
}
