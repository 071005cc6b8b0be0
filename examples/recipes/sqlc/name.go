// Package sqlc has queries in the shape that sqlc gives them. db.go, models.go and query.sql.go were written by hand after it, so that the test needs no sqlc;
// sqlc.yaml, schema.sql and query.sql are what sqlc would make them of. name.go is the application's own.
package sqlc

import "github.com/tandem-go/tandem/expand"

// Name is a column of the pair in the generated structs, which take no generic type.
type Name = expand.Cell[string]
