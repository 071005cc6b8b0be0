package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tandem-go/tandem/expand"
)

// FullName is the pair: the one declaration of the migration.
var FullName = expand.Rename[string]("users", "user_name", "full_name")

// User is the model in its final shape; nothing in it says that a migration runs.
type User struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
	Logins   int    `db:"logins"`
}

// A name says whose it is and how new it is, so that every reader can check what it reads: `user-17.3` is the third name of the user
// with the email `user-17@example.com`. A reader that once saw .3 must never see .2 again.

// nameOf is the name number n of a user.
func nameOf(user string, n int64) string { return user + "." + strconv.FormatInt(n, 10) }

func emailOf(user string) string { return user + "@example.com" }

// initialUser is a user that the table began with.
func initialUser(id int64) string { return "user-" + strconv.FormatInt(id, 10) }

// checkName takes a name apart and refuses one that the user with this email never had.
func checkName(email, name string) (n int64, err error) {
	user, _, _ := strings.Cut(email, "@")
	number, ok := strings.CutPrefix(name, user+".")
	if ok {
		n, err = strconv.ParseInt(number, 10, 64)
	}
	if !ok || err != nil {
		return 0, fmt.Errorf("the user with email %s is called %q, which is nobody's name for it", email, name)
	}
	return n, nil
}

// The ids 1 to -rows are divided into ten lanes by their last digit. A lane is written by at most one goroutine of one service, so that "the
// last acknowledged name" means something; most lanes nobody writes.
const (
	lanes = 10

	laneUpsert  = 1 // the writer
	laneUpdate  = 2 // the updater's first loop
	laneAccount = 3 // the updater's second loop
	laneOld     = 4 // the old binary
	laneStable  = 5 // nobody: found by name at any time
)
