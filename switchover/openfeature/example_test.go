package openfeature_test

import (
	"context"
	"fmt"

	of "github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"

	"github.com/tandem-go/tandem/switchover/openfeature"
)

// A flag whose variant somebody has chosen proposes; one that is not there does not.
func ExampleNewSource() {
	provider := memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"users.full_name": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": "Switch", "off": "Migrate"}},
	})
	if err := of.SetNamedProviderAndWait("example", provider); err != nil {
		fmt.Println(err)
		return
	}
	source := openfeature.NewSource(of.NewClient("example"), openfeature.Options{})
	fmt.Println(source.Propose(context.Background(), "users.full_name"))
	fmt.Println(source.Propose(context.Background(), "users.email"))
	// Output:
	// Switch <nil>
	// Phase(0) flag users.email: not found: no proposal
}
