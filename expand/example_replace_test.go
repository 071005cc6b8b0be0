package expand_test

import (
	"context"
	"fmt"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// bookings gets the day into its key.
var bookings = expand.Replace(expand.ReplaceSpec{Table: "bookings", Into: "bookings_v2", IntoKey: []string{"day", "id"}, Columns: map[string]string{"cents": "{price} * 100"},
	Backward: map[string]string{"price": "{cents} / 100.0"}})

func ExampleReplace() {
	fmt.Println(bookings.Name(), bookings.Err())
	fmt.Println(expand.Replace(expand.ReplaceSpec{Table: "bookings", Into: "bookings"}).Err())
	// Output:
	// bookings_v2 <nil>
	// replacement of bookings by itself: make a new table and name it in Into
}

// Whoever writes the old table writes the new one too.
func ExampleReplacement() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE bookings (id int PRIMARY KEY, day date NOT NULL, price numeric(10,2));
		CREATE TABLE bookings_v2 (id int, day date, cents bigint, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
		CREATE TABLE bookings_2026 PARTITION OF bookings_v2 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`)
	must(expand.Apply(ctx, db, bookings, expand.Options{}))
	db.MustExec(`INSERT INTO bookings (id, day, price) VALUES (1, '2026-05-01', 12.34)`)
	var cents int
	must(db.Get(&cents, `SELECT cents FROM bookings_v2 WHERE id = 1`))
	fmt.Println(cents)
	_, err := db.Exec(`UPDATE bookings_v2 SET cents = 0`)
	fmt.Println(err)
	// Output:
	// 1234
	// pq: bookings_v2: bookings_v2 mirrors bookings in this phase, and only the guard writes it (TD001)
}

// A statement written by hand names the tables of its phase.
func ExampleTables() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "desk"})
	must(err)
	defer func() { must(member.Leave(ctx)) }()
	must(bookings.Do(ctx, member, func(f *expand.Tables) error {
		fmt.Println("SELECT id FROM " + f.From() + " AS b WHERE b.day = $1")
		fmt.Println("DELETE FROM "+f.Into()+" WHERE id = $1;", f.Phase())
		return nil
	}))
	// Output:
	// SELECT id FROM public.bookings AS b WHERE b.day = $1
	// DELETE FROM public.bookings WHERE id = $1; Start
}
