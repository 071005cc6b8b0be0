package sqlc

import "github.com/tandem-go/tandem/expand"

// User is a row of users.
type User struct {
	ID            int64
	UserName      Name
	Email         string
	FullName      Name
	FullNameStamp expand.Stamp
}
