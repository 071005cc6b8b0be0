// Package openfeature lets an OpenFeature flag propose the phase of a migration.
//
//	client := of.NewDefaultClient() // github.com/open-feature/go-sdk/openfeature
//	source := openfeature.NewSource(client, openfeature.Options{})
//	err := switchover.Follow(ctx, db, "users.full_name", source, switchover.FollowOptions{})
//
// The flag is a string flag with the names of the phases as its variants: "Start", "Expand", "Migrate", "Switch". Its key is the migration's name.
//
// # What counts as a proposal
//
// Only what somebody has chosen for this flag, by the reason that the provider gives:
//
//	STATIC, TARGETING_MATCH, SPLIT              a proposal
//	CACHED                                      a proposal if the same value came with one of those reasons before
//	DEFAULT, DISABLED, STALE, UNKNOWN, others   none, the admitted phase is kept
//	ERROR, or a name that is no phase           none, and an error
//
// A provider whose state is not READY proposes nothing, whatever it answers: cut off from its service it goes on answering from memory.
//
// DEFAULT is what a flag with rules answers when none of them matches, so a flag with rules needs one that does. CACHED replaces the reason with which the value came into the
// provider's cache. Some caches keep defaults too, so the reason alone does not do; but to refuse it would stop a flag whose gates open later than its first answer. A
// cache that is older than this Source can hide a proposal until the provider renews it; it cannot make one.
//
// All followers of a migration must get one answer. Therefore the targeting key is by default the migration's name, not that of the instance.
//
// The package is a module of its own, so that Tandem does not depend on OpenFeature. It needs Go 1.26, as the SDK does.
package openfeature
