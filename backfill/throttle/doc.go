// Package throttle has the signals that a backfill gives way to: each is read once a second and says how much of the time workers have to rest.
//
//	backfill.Run(ctx, db, FullName, backfill.Options{Throttles: throttle.Default("users")})
//
// A signal slows down before it stops: below its soft limit it asks for nothing, at its hard limit for standing still, and between them for a share of the time that grows evenly.
// Of several the one that asks for most counts, and its reason is shown in the progress, in the log and in the state that any process can read.
//
// It fails closed. A signal that could not be read for 15 s, because a connection fails, a right is missing or a view hides what it asks for, asks for standing still, and its reason is the error.
//
//	signal    reads                                       soft, hard         a role needs
//	Lag       pg_stat_replication                         10 s, 60 s         pg_monitor
//	Slots     pg_replication_slots                        1 GiB, 4 GiB       nothing
//	Blocked   pg_locks, pg_blocking_pids                  100 ms, 1 s        nothing
//	Snapshot  pg_stat_activity, pg_prepared_xacts, slots  5 min, 30 min      nothing
//	Archiver  pg_stat_archiver                            30 s, 5 min        nothing
//	DeadRows  pg_stat_all_tables                          50 %, 100 %        nothing
//	WAL       pg_current_wal_insert_lsn()                 yours              nothing
//	Hours     the clock                                   yours              nothing
//	Func      what you want                               yours
//
// Rows a second are an option of the backfill itself, and can be changed while it runs: backfill.Options.Rate, backfill.Tune.
package throttle
