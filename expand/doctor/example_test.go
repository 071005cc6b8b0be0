package doctor_test

import (
	"context"
	"fmt"

	"github.com/tandem-go/tandem/expand/doctor"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func ExampleExamine() {
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text); CREATE PUBLICATION feed FOR TABLE users`)
	findings, err := doctor.Examine(context.Background(), db, fullName, doctor.Options{})
	for _, f := range findings {
		if f.Name == "published" {
			fmt.Println(f.Where + ": " + f.What)
		}
	}
	fmt.Println(err)
	// Output:
	// publication feed: it publishes the table
	// <nil>
}
