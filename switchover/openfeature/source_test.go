package openfeature_test

import (
	"context"
	"errors"
	"testing"
	"time"

	of "github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/switchover"
	"github.com/tandem-go/tandem/switchover/openfeature"
)

const name = "users.full_name"

// scripted is a provider that answers and signals what a test says.
type scripted struct {
	of.NoopProvider
	events chan of.Event
	answer func(flag, fallback string, evalCtx of.FlattenedContext) of.StringResolutionDetail
	init   func() error
}

func (p *scripted) StringEvaluation(_ context.Context, flag string, fallback string, evalCtx of.FlattenedContext) of.StringResolutionDetail {
	return p.answer(flag, fallback, evalCtx)
}
func (p *scripted) EventChannel() <-chan of.Event { return p.events }
func (p *scripted) Shutdown()                     {}
func (p *scripted) Init(of.EvaluationContext) error {
	if p.init == nil {
		return nil
	}
	return p.init()
}

func detail(value string, reason of.Reason) of.StringResolutionDetail {
	return of.StringResolutionDetail{Value: value, ProviderResolutionDetail: of.ProviderResolutionDetail{Reason: reason}}
}

func failed(value string, err of.ResolutionError) of.StringResolutionDetail {
	d := detail(value, of.ErrorReason)
	d.ResolutionError = err
	return d
}

// client is one of the test's own domain, with a provider that is ready.
func client(t *testing.T, p of.FeatureProvider) *of.Client {
	t.Helper()
	require.NoError(t, of.SetNamedProviderAndWait(t.Name(), p))
	return of.NewClient(t.Name())
}

func TestReasons(t *testing.T) {
	t.Parallel()
	none := switchover.ErrNoProposal.Error()
	var answer of.StringResolutionDetail
	p := &scripted{answer: func(string, string, of.FlattenedContext) of.StringResolutionDetail { return answer }}
	c := client(t, p)
	for _, test := range []struct {
		name   string
		answer of.StringResolutionDetail
		want   switchover.Phase
		says   string // of the error
	}{
		{"static", detail("Switch", of.StaticReason), switchover.Switch, ""},
		{"rule", detail("Start", of.TargetingMatchReason), switchover.Start, ""},
		{"split", detail("Migrate", of.SplitReason), switchover.Migrate, ""},
		{"default", detail("Switch", of.DefaultReason), 0, `flag users.full_name: "Switch" with reason "DEFAULT": ` + none},
		{"disabled", detail("Switch", of.DisabledReason), 0, none},
		{"stale", detail("Switch", "STALE"), 0, `reason "STALE": ` + none},
		{"unknown", detail("Switch", of.UnknownReason), 0, none},
		{"no reason", detail("Switch", ""), 0, none},
		{"a reason of its own", detail("Switch", "VIBES"), 0, none},
		{"cached, from before", detail("Switch", of.CachedReason), 0, none},
		{"error", detail("Switch", of.ErrorReason), 0, "reason ERROR"},
		{"not found", failed("Switch", of.NewFlagNotFoundResolutionError("x")), 0, "flag users.full_name: not found: " + none},
		{"not a string", failed("Switch", of.NewTypeMismatchResolutionError("it is a bool")), 0, "it is a bool"},
		{"unreachable", failed("Switch", of.NewGeneralResolutionError("no route")), 0, "no route"},
		{"not a phase", detail("switch", of.StaticReason), 0, `flag users.full_name: phase "switch": unknown`},
		{"empty", detail("", of.CachedReason), 0, `phase "": unknown`},
	} {
		s := openfeature.NewSource(c, openfeature.Options{})
		answer = test.answer
		got, err := s.Propose(t.Context(), name)
		require.Equal(t, test.want, got, test.name)
		if test.says == "" {
			require.NoError(t, err, test.name)
			continue
		}
		require.ErrorContains(t, err, test.says, test.name)
		require.Equal(t, test.says[max(0, len(test.says)-len(none)):] == none, errors.Is(err, switchover.ErrNoProposal), test.name)
	}
}

// The SDK returns the default that it is given, also from providers that take it for an answer.
func TestDefaultIsNoPhase(t *testing.T) {
	t.Parallel()
	p := &scripted{answer: func(_, fallback string, _ of.FlattenedContext) of.StringResolutionDetail {
		return detail(fallback, of.StaticReason)
	}}
	_, err := openfeature.NewSource(client(t, p), openfeature.Options{}).Propose(t.Context(), name)
	require.ErrorContains(t, err, `phase "unset": unknown`)
}

// A cache hides the reason: what it answers counts only if the value was chosen when it was fresh.
func TestCached(t *testing.T) {
	t.Parallel()
	var answer of.StringResolutionDetail
	p := &scripted{answer: func(string, string, of.FlattenedContext) of.StringResolutionDetail { return answer }}
	s := openfeature.NewSource(client(t, p), openfeature.Options{})
	propose := func(d of.StringResolutionDetail) (switchover.Phase, error) {
		answer = d
		return s.Propose(t.Context(), name)
	}
	for _, step := range []struct {
		answer of.StringResolutionDetail
		want   switchover.Phase
	}{
		{detail("Switch", of.CachedReason), 0},
		{detail("Switch", of.StaticReason), switchover.Switch},
		{detail("Switch", of.CachedReason), switchover.Switch},
		{detail("Migrate", of.CachedReason), 0},
		{failed("Switch", of.NewGeneralResolutionError("no route")), 0},
		{detail("Switch", of.CachedReason), switchover.Switch},
		{detail("Switch", of.DefaultReason), 0},
		{detail("Switch", of.CachedReason), 0}, // the default
		{detail("Switch", of.SplitReason), switchover.Switch},
		{detail("Switch", of.CachedReason), switchover.Switch},
	} {
		got, err := propose(step.answer)
		require.Equal(t, step.want, got)
		require.Equal(t, step.want == 0, err != nil)
	}
	// what was chosen for one migration says nothing of another
	answer = detail("Switch", of.CachedReason)
	_, err := s.Propose(t.Context(), "users.other")
	require.ErrorIs(t, err, switchover.ErrNoProposal)
}

// A provider that has lost its service, or has never had it, answers from memory.
func TestProviderNotReady(t *testing.T) {
	t.Parallel()
	p := &scripted{events: make(chan of.Event), answer: func(string, string, of.FlattenedContext) of.StringResolutionDetail {
		return detail("Switch", of.StaticReason)
	}}
	release := make(chan struct{})
	p.init = func() error { <-release; return nil }
	require.NoError(t, of.SetNamedProvider(t.Name(), p))
	c := of.NewClient(t.Name())
	s := openfeature.NewSource(c, openfeature.Options{})
	_, err := s.Propose(t.Context(), name)
	require.ErrorIs(t, err, switchover.ErrNoProposal)
	require.ErrorContains(t, err, "the provider is NOT_READY")
	close(release)
	is := func(state of.State) {
		t.Helper()
		require.Eventually(t, func() bool { return c.State() == state }, 30*time.Second, time.Millisecond)
	}
	for _, event := range []struct {
		kind of.EventType
		code of.ErrorCode
		to   of.State
	}{{of.ProviderStale, "", of.StaleState}, {of.ProviderError, of.GeneralCode, of.ErrorState}, {of.ProviderError, of.ProviderFatalCode, of.FatalState}} {
		is(of.ReadyState)
		got, err := s.Propose(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, switchover.Switch, got)
		p.events <- of.Event{EventType: event.kind, ProviderEventDetails: of.ProviderEventDetails{ErrorCode: event.code}}
		is(event.to)
		_, err = s.Propose(t.Context(), name)
		require.ErrorIs(t, err, switchover.ErrNoProposal)
		require.ErrorContains(t, err, "the provider is "+string(event.to))
		p.events <- of.Event{EventType: of.ProviderReady}
	}
}

// broken is a hook that refuses what the provider has answered.
type broken struct{ of.UnimplementedHook }

func (broken) After(context.Context, of.HookContext, of.InterfaceEvaluationDetails, of.HookHints) error {
	return errors.New("audit log is full")
}

// An evaluation that fails after the provider has answered has the answer's reason, but not its value.
func TestBrokenHook(t *testing.T) {
	t.Parallel()
	p := &scripted{answer: func(string, string, of.FlattenedContext) of.StringResolutionDetail {
		return detail("Switch", of.StaticReason)
	}}
	c := client(t, p)
	c.AddHooks(broken{})
	_, err := openfeature.NewSource(c, openfeature.Options{}).Propose(t.Context(), name)
	require.ErrorContains(t, err, "audit log is full")
}

// An application that has set up no provider gets the SDK's, which returns defaults.
func TestNoProvider(t *testing.T) {
	t.Parallel()
	_, err := openfeature.NewSource(of.NewClient(t.Name()), openfeature.Options{}).Propose(t.Context(), name)
	require.ErrorIs(t, err, switchover.ErrNoProposal)
}

func TestKeyAndContext(t *testing.T) {
	t.Parallel()
	var key string
	var got of.FlattenedContext
	p := &scripted{answer: func(flag, _ string, evalCtx of.FlattenedContext) of.StringResolutionDetail {
		key, got = flag, evalCtx
		return detail("Switch", of.StaticReason)
	}}
	c := client(t, p)
	propose := func(o openfeature.Options) {
		_, err := openfeature.NewSource(c, o).Propose(t.Context(), name)
		require.NoError(t, err)
	}
	propose(openfeature.Options{})
	require.Equal(t, name, key)
	require.Equal(t, of.FlattenedContext{of.TargetingKey: name}, got)
	propose(openfeature.Options{Key: func(m string) string { return "tandem-" + m }, Context: of.NewTargetlessEvaluationContext(map[string]any{"region": "eu"})})
	require.Equal(t, "tandem-"+name, key)
	require.Equal(t, of.FlattenedContext{of.TargetingKey: name, "region": "eu"}, got)
	propose(openfeature.Options{Context: of.NewEvaluationContext("all", nil)})
	require.Equal(t, of.FlattenedContext{of.TargetingKey: "all"}, got)
}
