// Package doctor looks for what will hurt a migration before it begins, and before the old column goes.
//
//	findings, err := doctor.Examine(ctx, db, FullName, doctor.Options{})
//	for _, f := range findings {
//		fmt.Println(f) // name: where, what; why it hurts: what to do
//	}
//
// Ask before expand.Apply, and again before contract.Apply with Relax. It sends only queries, of the catalogs and the statistics views, and takes no lock on the table but ACCESS SHARE. No findings: nothing was seen.
//
//	finding               is about
//	blind                 a role that does not see what others do: member of pg_monitor it does
//	privilege             what expand.Apply needs: the table's ownership, CREATE on the database, TEMP
//	long-transaction      sessions that are in a transaction for long: every lock waits for them, and CREATE INDEX CONCURRENTLY
//	prepared-transaction  the same of two-phase commit, which no disconnect ends
//	disabled-trigger      triggers that do not fire, those of foreign keys too
//	replica-role          roles and databases with session_replication_role: triggers and foreign keys do not act for them
//	event-trigger         what runs at every DDL
//	extension             extensions that take DDL into their own hands
//	published             logical subscribers, which need the new columns before the publisher has them
//	subscribed            rows that come from a publisher, by no wrapper
//	replica-identity      tables whose updates are refused, or logged whole
//	slot                  replication slots that keep WAL, of which a backfill makes more, or that have lost it
//	key-space             keys of which few are left: the backfill's time counts too
//	mix-up                see switchover.Doctor
//	unseen                statements that nobody counts, so that the next ones are looked for in function bodies alone
//	select-star, returning-star, insert-without-columns, copy-without-columns
//	                      statements that depend on which columns there are, in pg_stat_statements and in bodies of functions
//	old-column            from Switch on, statements that name the old column and are not the wrappers'
//
// What pg_stat_statements has counted before the step to Switch may be long gone: pg_stat_statements_reset then, wait for what runs once a month, and look again before the drop. A statement is read by its tokens, not parsed: a column
// of another table by the same name may be taken for it. Package contract/vet finds the same in an application's Go code.
package doctor
