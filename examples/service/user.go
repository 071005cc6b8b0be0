package main

import "github.com/tandem-go/tandem/expand"

// FullName is the pair: the one declaration of the migration.
var FullName = expand.Rename[string]("users", "user_name", "full_name")

// User is the model in its final shape. The API calls the name "name" in every release: what a column is called is no client's business.
type User struct {
	ID       int64  `db:"id" json:"id" tandem:"default"`
	FullName string `db:"full_name" json:"name"`
	Email    string `db:"email" json:"email"`
}
