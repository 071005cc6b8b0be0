package pair

import "github.com/tandem-go/tandem/internal/ident"

// OldDigest is a digest of the old columns of a row of Table, called t. It is made of what PostgreSQL would send in binary, which no setting of the session changes.
func (d Definition) OldDigest() string {
	return "encode(sha256(record_send(ROW(" + ident.List("t.", d.Old) + "))), 'hex')"
}
