// Package pgtest gives each test its own database.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestRename(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t)
//		...
//	}
//
// All tests of a process share one server, found or started by package server
// when the first test asks for it. Without a server a test is skipped with the
// reason; with CI=true in the environment it fails.
//
// Databases are made from template0 and have names that no other process uses,
// so that several test binaries can share the server that TANDEM_DSN names.
// They are dropped at the end of their test, with the connections to them.
package pgtest
