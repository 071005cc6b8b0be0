package expand_test

import (
	"context"
	"fmt"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func ExampleConvertSet() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(poetsSQL + `; INSERT INTO people (full_name) VALUES ('Ada Lovelace')`)
	must(expand.Apply(ctx, db, names, expand.Options{})) // full_name is split into first_name and last_name
	must(switchover.Advance(ctx, db, names.Name(), switchover.Expand, switchover.Options{}))
	db.MustExec(`UPDATE people SET full_name = 'Ada King'`) // who knows full_name alone
	var first, last string
	must(db.QueryRowx(`SELECT first_name, last_name FROM people`).Scan(&first, &last))
	fmt.Printf("%s: %s, %s\n", names.Name(), last, first)
	// Output: people.first_name: King, Ada
}

func ExampleMove() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, bio text); CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE)`)
	bio := expand.Move[*string]("users", "bio", "profiles", "user_id")
	must(expand.Apply(ctx, db, bio, expand.Options{}))
	must(switchover.Advance(ctx, db, bio.Name(), switchover.Expand, switchover.Options{}))
	db.MustExec(`INSERT INTO users (id, bio) VALUES (1, 'wrote a program')`)
	var there string
	must(db.Get(&there, `SELECT bio FROM profiles WHERE user_id = 1`))
	fmt.Println(bio.Name()+":", there)
	// Output: profiles.bio: wrote a program
}
