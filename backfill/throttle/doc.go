// Package throttle has the signals that a backfill gives way to: each is read once a second and says how much of the time workers have to rest.
//
//	backfill.Run(ctx, db, FullName, backfill.Options{Throttles: throttle.Default("users")})
//
// A signal slows down before it stops: below its soft limit it asks for nothing, at its hard limit for standing still, and between them for a share of the time that grows evenly.
// Of several the one that asks for most counts, and its reason is shown in the progress, in the log and in the state that any process can read.
//
// It fails closed. A signal that could not be read for 15 s, because a connection fails, a right is missing or a view hides what it asks for, asks for standing still, and its reason is the error.
// Up to then what it said last counts. One that does not answer is given up after 2 s, by the server too, and keeps no other waiting for longer; one whose call never returns is not called again.
//
//	signal    reads                                       soft, hard                   a role needs
//	Lag       pg_stat_replication                         10 s, 60 s; 0.1 GiB, 1 GiB   pg_monitor, if there are standbys; else it is an error that names the grant
//	Replica   pg_last_wal_replay_lsn() on a standby       as Lag                       nothing; a pool of the standby
//	Slots     pg_replication_slots                        1 GiB, 4 GiB; 50 %, 90 % of  nothing
//	                                                      max_slot_wal_keep_size
//	Blocked   pg_locks, pg_blocking_pids                  100 ms, 1 s                  nothing
//	Snapshot  pg_stat_activity, pg_prepared_xacts, slots  5 min, 30 min                nothing; with pg_monitor it knows what was before the first reading
//	Archiver  pg_stat_archiver                            30 s, 5 min; 1 GiB, 4 GiB    nothing; with pg_monitor it counts the files that wait
//	DeadRows  pg_stat_get_dead_tuples(), pg_class         50 %, 100 % of live rows     nothing
//	WAL       pg_current_wal_insert_lsn()                 yours, bytes a second        nothing
//	Hours     the clock                                   yours                        nothing
//	Func      what you want                               yours
//
// Rows a second are an option of the backfill itself, and can be changed while it runs: backfill.Options.Rate, backfill.Tune.
package throttle
