package doctor

// triggerChecks are of what acts at a write or at DDL, or should.
func triggerChecks() []check {
	return []check{
		{
			name: "disabled-trigger",
			sql: `SELECT CASE WHEN t.tgisinternal THEN format('foreign key %I', c.conname) ELSE format('trigger %I', t.tgname) END AS place,
				CASE t.tgenabled WHEN 'D' THEN 'it is disabled' ELSE 'it fires for replicas only' END AS what
				FROM pg_trigger t LEFT JOIN pg_constraint c ON c.oid = t.tgconstraint WHERE t.tgrelid = {oid} AND t.tgenabled IN ('D', 'R') ORDER BY 1`,
			harm: "a disabled foreign key lets rows in that its twin's validation refuses, and a disabled trigger was perhaps only forgotten after a load",
			cure: "ALTER TABLE ... ENABLE TRIGGER, or drop it",
		},
		{
			name: "replica-role",
			sql: `SELECT concat_ws(' ', 'role ' || r.rolname, 'database ' || d.datname) AS place, setting AS what FROM pg_db_role_setting s
				LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
				WHERE setting ~ '^session_replication_role=' AND setting !~ '=origin$' AND (s.setdatabase = 0 OR d.datname = current_database()) ORDER BY 1`,
			harm: "its writes pass foreign keys and the application's triggers; the guard is ENABLE ALWAYS and sees them",
			cure: "ALTER ROLE or DATABASE ... RESET session_replication_role, or know why",
		},
		{
			name: "event-trigger",
			sql: `SELECT format('event trigger %I', evtname) AS place, concat('it runs ', evtfoid::regproc, ' at ', evtevent, CASE WHEN evttags IS NOT NULL THEN ' of ' || array_to_string(evttags, ', ') END) AS what
				FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY evtname`,
			harm: "it runs inside each transaction of expand.Apply and contract.Apply, while they hold ACCESS EXCLUSIVE, and may refuse or change them",
			cure: "read what it does, and try the migration on a copy that has it",
		},
		{
			name: "extension",
			sql: `SELECT 'extension ' || extname AS place, 'version ' || extversion AS what FROM pg_extension
				WHERE extname IN ('citus', 'timescaledb', 'pglogical', 'bdr', 'pg_ivm', 'spock') ORDER BY extname`,
			harm: "it hooks DDL or copies it elsewhere, which is not tested with this library",
			cure: "try the migration on a copy of the database that has it, workers and subscribers included",
		},
	}
}
