package throttle

// Default are the signals that need no right and no limits of yours, for a backfill of a table.
func Default(table string) []Signal {
	return []Signal{Blocked{}, &Snapshot{}, Slots{}, &Archiver{}, DeadRows{Table: table}}
}
