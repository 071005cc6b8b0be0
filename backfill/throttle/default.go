package throttle

// Default are the signals that need no right and no limits of yours, for a backfill of a table. Add Lag, for a role with pg_monitor, or a Replica for each standby.
func Default(table string) []Signal {
	return []Signal{Blocked{}, &Snapshot{}, Slots{}, &Archiver{}, DeadRows{Table: table}}
}
