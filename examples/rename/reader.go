package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// readerTasks is the service that only reads: by id and by name.
func readerTasks(b *bench) []task {
	seen := map[int64]int64{} // user: newest name
	return []task{
		{"get by id", 5 * time.Millisecond, func(ctx context.Context) error {
			return readByID(ctx, b, seen)
		}},
		{"select by name", 5 * time.Millisecond, func(ctx context.Context) error {
			return readByName(ctx, b)
		}},
	}
}

// readByID reads any user. Whoever renames it, and whichever column the phase reads: it is a name of this user, never older than one
// that was read before.
func readByID(ctx context.Context, b *bench, seen map[int64]int64) error {
	id := b.pick(1 + rand.Int64N(lanes))
	u, err := b.users.Get(ctx, id)
	if err != nil {
		return err
	}
	n, err := checkName(u.Email, u.FullName)
	if err != nil {
		return err
	}
	if n < seen[id] {
		return fmt.Errorf("user %d: name number %d was read after number %d", id, n, seen[id])
	}
	seen[id] = n
	return nil
}

// readByName finds a user whom nobody renames. {full_name} becomes the column that the phase reads.
func readByName(ctx context.Context, b *bench) error {
	id := b.pick(laneStable)
	name := nameOf(initialUser(id), 0)
	found, err := b.users.Select(ctx, `WHERE {full_name} = $1`, FullName.Arg(name))
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].ID != id {
		return fmt.Errorf("%d users are called %q, want user %d alone", len(found), name, id)
	}
	return nil
}
