package switchover_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-go/tandem/switchover"
)

// A config file that is read for each proposal: mounted, it changes while programs run, which an environment variable does not.
func ExampleSourceFunc() {
	folder, err := os.MkdirTemp("", "proposals")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	source := switchover.SourceFunc(func(_ context.Context, migration string) (switchover.Phase, error) {
		text, err := os.ReadFile(filepath.Join(folder, migration))
		if errors.Is(err, fs.ErrNotExist) {
			return 0, switchover.ErrNoProposal
		}
		if err != nil {
			return 0, err
		}
		return switchover.ParsePhase(strings.TrimSpace(string(text)))
	})

	// Where a database is: go switchover.Follow(ctx, db, "users.full_name", source, switchover.FollowOptions{})
	fmt.Println(source.Propose(context.Background(), "users.full_name"))
	if err := os.WriteFile(filepath.Join(folder, "users.full_name"), []byte("Switch\n"), 0o600); err != nil {
		fmt.Println(err)
	}
	fmt.Println(source.Propose(context.Background(), "users.full_name"))
	// Output:
	// Phase(0) no proposal
	// Switch <nil>
}
