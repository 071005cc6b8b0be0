package openfeature

import (
	"context"
	"fmt"
	"sync"

	of "github.com/open-feature/go-sdk/openfeature"

	"github.com/tandem-go/tandem/switchover"
)

// Options of a source. The zero value is complete.
type Options struct {
	Key     func(migration string) string // key of the migration's flag; defaults to the migration's name
	Context of.EvaluationContext          // for every evaluation; an empty targeting key defaults to the migration's name
}

// Client is what a source needs of an OpenFeature client. *openfeature.Client of the SDK has it.
type Client interface {
	State() of.State
	StringValueDetails(ctx context.Context, flag, defaultValue string, evalCtx of.EvaluationContext, options ...of.Option) (of.StringEvaluationDetails, error)
}

// NewSource makes the client's flags a source for switchover.Follow, of any number of migrations. Its errors say what the flag answered; those that mean that
// nobody has chosen a value have switchover.ErrNoProposal in their chain.
func NewSource(client Client, o Options) switchover.Source {
	if o.Key == nil {
		o.Key = func(migration string) string { return migration }
	}
	return &source{client: client, o: o, chosen: map[string]string{}}
}

type source struct {
	client Client
	o      Options

	mu     sync.Mutex
	chosen map[string]string // by migration, whose targeting key is its own: the last value that came with a reason that says that it was chosen
}

// unset is the value for the SDK to return when it has none. It is no phase, so that it cannot become a proposal even if a provider returns it without saying so.
const unset = "unset"

func (s *source) Propose(ctx context.Context, migration string) (switchover.Phase, error) {
	key := s.o.Key(migration)
	// Before the evaluation: what a provider answers that was ready a moment ago is no older than that.
	if state := s.client.State(); state != of.ReadyState {
		return 0, fmt.Errorf("flag %s: the provider is %s: %w", key, state, switchover.ErrNoProposal)
	}
	evaluation := s.o.Context
	if evaluation.TargetingKey() == "" {
		evaluation = of.NewEvaluationContext(migration, evaluation.Attributes())
	}
	d, err := s.client.StringValueDetails(ctx, key, unset, evaluation)
	switch {
	case d.ErrorCode == of.FlagNotFoundCode:
		return 0, fmt.Errorf("flag %s: not found: %w", key, switchover.ErrNoProposal)
	case err != nil:
		return 0, fmt.Errorf("flag %s: %w", key, err)
	case d.Reason == of.ErrorReason || d.ErrorCode != "":
		return 0, fmt.Errorf("flag %s: reason %s, code %q: %s", key, d.Reason, d.ErrorCode, d.ErrorMessage)
	case !s.isChosen(migration, d.Value, d.Reason):
		return 0, fmt.Errorf("flag %s: %q with reason %q: %w", key, d.Value, d.Reason, switchover.ErrNoProposal)
	}
	p, err := switchover.ParsePhase(d.Value)
	if err != nil {
		return 0, fmt.Errorf("flag %s: %w", key, err)
	}
	return p, nil
}

// isChosen tells whether somebody has chosen the value, and remembers it for when it comes from a cache.
func (s *source) isChosen(migration, value string, reason of.Reason) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch reason {
	case of.StaticReason, of.TargetingMatchReason, of.SplitReason:
		s.chosen[migration] = value
		return true
	case of.CachedReason:
		return s.chosen[migration] == value
	default:
		// From here on a cache may hold this.
		delete(s.chosen, migration)
		return false
	}
}
