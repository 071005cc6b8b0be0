// Package server finds or starts a PostgreSQL server for tests and for the
// example programs.
//
// [Start] takes the first of three ways that this machine offers:
//
//  1. The server that the environment variable TANDEM_DSN names. It is used
//     as it is: nothing is set on it, and Close leaves it alone.
//  2. A Docker container of the image in TANDEM_IMAGE, postgres:17 if unset.
//  3. The PostgreSQL binaries of this machine: those in PATH, in the answer of
//     pg_config --bindir, or the newest in /usr/lib/postgresql.
//
// TANDEM_SERVER=dsn, docker or local allows only that way. When no way is
// left, the error names each with its reason.
//
//	srv, err := server.Start(ctx, server.Options{Log: os.Stderr})
//	if err != nil {
//		return err
//	}
//	defer srv.Close()
//	db, err := sqlx.ConnectContext(ctx, "postgres", srv.DSN("postgres"))
//
// A started server is fast and not durable: it writes without fsync, to memory
// where it can. It has UTF8 text in the order of the C locale, so that the
// order of text is the same on every machine. Its user is the superuser
// postgres.
//
// Nothing stays behind. Close stops the server and removes its data. If the
// process is killed instead, on Linux local binaries stop with it and their
// folder goes when the next server starts; a container stops after an hour.
package server
