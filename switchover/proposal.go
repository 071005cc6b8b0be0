package switchover

import (
	"context"
	"errors"
)

// ErrNoProposal is what a Source returns when nobody proposes anything: the flag is missing, its value is a default that nobody chose, or a stale one. Like every
// error it keeps the admitted phase; only it is not logged as a fault.
var ErrNoProposal = errors.New("no proposal")

// Source tells which phase somebody outside the database wants a migration to be in: a feature flag, a config file. It may only propose: see Follow. An error, or a value
// that is no phase, keeps the admitted phase, so a source never makes up a default. Propose is called by one goroutine of each Follow and returns when ctx ends.
type Source interface {
	Propose(ctx context.Context, migration string) (Phase, error)
}

// SourceFunc is a function as a Source.
type SourceFunc func(ctx context.Context, migration string) (Phase, error)

// Propose calls f.
func (f SourceFunc) Propose(ctx context.Context, migration string) (Phase, error) {
	return f(ctx, migration)
}
