package switchover_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var fullName = expand.Rename[string]("users", "user_name", "full_name")

// must ends an Example at an error, which its output then shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// applied is an empty table whose pair is in Start.
func applied(ctx context.Context) (db *sqlx.DB, drop func()) {
	db, drop = pgtest.Example()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text)`)
	must(expand.Apply(ctx, db, fullName, expand.Options{}))
	return db, drop
}

// switched is applied, in Switch; the gates of data that nobody has are waived.
func switched(ctx context.Context) (db *sqlx.DB, drop func()) {
	db, drop = applied(ctx)
	for _, to := range []switchover.Phase{switchover.Expand, switchover.Migrate} {
		must(switchover.Advance(ctx, db, fullName.Name(), to, open))
	}
	db.MustExec(`INSERT INTO tandem.backfill (migration, kind, owner, started_at, finished_at) VALUES ('users.full_name', 'copy', '', now(), now()), ('users.full_name', 'verify', '', now(), now());
		INSERT INTO users VALUES (1, 'Ada'); ANALYZE users`)
	must(switchover.Advance(ctx, db, fullName.Name(), switchover.Switch, open))
	return db, drop
}

func ExampleAdvance() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	fmt.Println(switchover.Advance(ctx, db, "users.full_name", switchover.Expand, switchover.Options{Actor: "ada"}))
	err := switchover.Advance(ctx, db, "users.full_name", switchover.Switch, switchover.Options{})
	fmt.Println(errors.Is(err, switchover.ErrStep), err)
	// Output:
	// <nil>
	// true advance users.full_name: users.full_name is in Expand, only Migrate follows it, not Switch: not the next step
}

// A refusal says everything that is missing.
func ExampleGateError() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER`)
	err := switchover.Advance(ctx, db, "users.full_name", switchover.Expand, switchover.Options{})
	var refused *switchover.GateError
	if errors.As(err, &refused) {
		for _, gate := range refused.Gates {
			fmt.Println(gate)
		}
	}
	// Output:
	// guard: 0 of the guard's 2 triggers (repair) are on users and ENABLE ALWAYS: run expand.Apply
}

func ExampleGates() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER`)
	gates, err := switchover.Gates(ctx, db, "users.full_name", switchover.Expand, switchover.Options{})
	must(err)
	for _, gate := range gates {
		fmt.Println(gate.Name, gate.Waivable)
	}
	// Output:
	// guard false
}

func ExampleGate_String() {
	fmt.Println(switchover.Gate{Name: "members", Missing: "api on host-7 has not acknowledged Expand", Waivable: true})
	// Output: members: api on host-7 has not acknowledged Expand
}

func ExampleRevert() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	must(switchover.Revert(ctx, db, "users.full_name", switchover.Migrate, switchover.Options{}))
	list, err := switchover.Status(ctx, db, switchover.Options{})
	fmt.Println(list[0].Phase, err)
	// Output: Migrate <nil>
}

func ExampleSetCanary() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	must(switchover.SetCanary(ctx, db, "users.full_name", switchover.Canary{Share: 0.25}, switchover.Options{}))
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{})
	must(err)
	pin := member.Pin(ctx)
	fmt.Println(pin.Partial("users.full_name"))
	pin.Release()
	must(member.Leave(ctx))
	// Output: true
}

func ExampleCanary_String() {
	fmt.Println(switchover.Canary{Share: 0.25, Tolerance: 0.01})
	// Output:
	// 25 % of the keys are read from new, back to Migrate when more than 1 % of 0 compared reads or more differ
}

// Before Relax takes from old what old binaries need: who still writes old alone?
func ExampleSettled() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	db.MustExec(`UPDATE users SET user_name = 'Grace'`) // a stray
	_, err := switchover.Settled(ctx, db, "users.full_name", switchover.Options{})
	var refused *switchover.GateError
	if errors.As(err, &refused) {
		fmt.Println(refused.Gates[0].Name)
	}
	fmt.Println(switchover.Settled(ctx, db, "users.full_name", switchover.Options{Waive: map[string]string{"strays": "that was me"}}))
	// Output:
	// strays
	// map[strays:that was me] <nil>
}

func ExampleDoctor() {
	db, drop := pgtest.Example()
	defer drop()
	fmt.Println(switchover.Doctor(context.Background(), db))
	// Output: [] <nil>
}

func ExampleFinding_String() {
	fmt.Println(switchover.Finding{Name: "statements", Where: "the pool", What: "another client's statement ran", Harm: "data is lost", Cure: "set binary_parameters=yes"})
	// Output: statements: the pool, another client's statement ran; data is lost: set binary_parameters=yes
}

func ExampleJoin() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "api"})
	must(err)
	fmt.Println(member.Phase("users.full_name"))
	fmt.Println(member.Leave(ctx))
	// Output:
	// Start
	// <nil>
}

func ExampleMember_Refresh() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{})
	must(err)
	must(switchover.Advance(ctx, db, "users.full_name", switchover.Expand, switchover.Options{}))
	must(member.Refresh(ctx)) // else within a second
	fmt.Println(member.Phase("users.full_name"))
	must(member.Leave(ctx))
	// Output: Expand
}

// A pin holds the phase still: no gate counts the member as further than its oldest operation.
func ExamplePin() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{})
	must(err)
	pin := member.Pin(ctx)
	must(switchover.Advance(ctx, db, "users.full_name", switchover.Expand, switchover.Options{}))
	must(member.Refresh(ctx))
	fmt.Println(pin.Phase("users.full_name"), member.Phase("users.full_name"))
	pin.Release()
	must(member.Leave(ctx))
	// Output: Start Expand
}

func ExampleStatus() {
	ctx := context.Background()
	db, drop := applied(ctx)
	defer drop()
	list, err := switchover.Status(ctx, db, switchover.Options{})
	must(err)
	for _, s := range list {
		fmt.Println(s.Name, s.Phase) // s.String() is what an operator reads
	}
	// Output: users.full_name Start
}

func ExampleMigrationStatus_String() {
	fmt.Println(switchover.MigrationStatus{Name: "users.full_name", Phase: switchover.Start}.String() != "")
	// Output: true
}

func ExampleParsePhase() {
	fmt.Println(switchover.ParsePhase("Switch"))
	_, err := switchover.ParsePhase("switch")
	fmt.Println(err != nil)
	// Output:
	// Switch <nil>
	// true
}

// Follow ends with its context; here the source ends it when it is asked again, so after the step.
func ExampleFollow() {
	db, drop := applied(context.Background())
	defer drop()
	ctx, stop := context.WithCancel(context.Background())
	asked := 0
	source := switchover.SourceFunc(func(context.Context, string) (switchover.Phase, error) {
		if asked++; asked > 1 {
			stop()
		}
		return switchover.Expand, nil
	})
	err := switchover.Follow(ctx, db, "users.full_name", source, switchover.FollowOptions{Poll: pollTime})
	fmt.Println(errors.Is(err, context.Canceled))
	list, err := switchover.Status(context.Background(), db, switchover.Options{})
	fmt.Println(list[0].Phase, err)
	// Output:
	// true
	// Expand <nil>
}
