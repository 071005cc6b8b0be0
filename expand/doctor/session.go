package doctor

// sessionChecks are of what others do at this moment, and of what this role may do.
func sessionChecks() []check {
	return []check{
		{
			name: "blind",
			sql:  `SELECT 'role ' || current_user AS place, 'it does not see the transactions and statements of other roles' AS what WHERE NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`,
			harm: "what follows is what can be seen without",
			cure: "GRANT pg_monitor to it, for this look at least",
		},
		{
			name: "privilege",
			sql: `SELECT 'role ' || current_user AS place, what FROM (
				SELECT format('it does not own %s', c.oid::regclass) AS what FROM pg_class c WHERE c.oid = {oid} AND NOT pg_has_role(current_user, c.relowner, 'USAGE')
				UNION ALL SELECT format('it may not CREATE in database %I, and schema tandem is not there', current_database())
				WHERE to_regnamespace('tandem') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
				UNION ALL SELECT format('it may not make temporary tables (TEMP) in database %I', current_database()) WHERE NOT has_database_privilege(current_database(), 'TEMP')) x`,
			harm: "expand.Apply and contract.Apply fail at it",
			cure: "run them as the table's owner, who is granted the rest",
		},
		{
			name: "long-transaction",
			sql: `SELECT format('pid %s (%s of %s)', pid, application_name, usename) AS place, format('in a transaction for %s s, %s', extract(epoch FROM now() - xact_start)::bigint, state) AS what
				FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start < now() - {long} ORDER BY xact_start`,
			harm: "each ALTER TABLE waits for it if it has touched the table, CREATE INDEX CONCURRENTLY waits for it in any case, and no dead row of the backfill can be removed",
			cure: "end it, or begin when it has ended; idle_in_transaction_session_timeout ends forgotten ones",
		},
		{
			name: "prepared-transaction",
			sql: `SELECT format('prepared transaction %s of %s', gid, owner) AS place, format('prepared %s s ago', extract(epoch FROM now() - prepared)::bigint) AS what
				FROM pg_prepared_xacts WHERE database = current_database() AND prepared < now() - {long} ORDER BY prepared`,
			harm: "as a long transaction, and it outlives its session and a restart",
			cure: "COMMIT PREPARED or ROLLBACK PREPARED, as its transaction manager says",
		},
		{
			name: "key-space",
			sql: `SELECT format('column %I', attname) AS place, format('%s is its sequence''s last value: %s %% of what %s holds', last, round(100 * last / most), typ) AS what FROM (
				SELECT a.attname, format_type(a.atttypid, NULL) AS typ, CASE WHEN has_sequence_privilege(d.objid, 'USAGE,SELECT') THEN pg_sequence_last_value(d.objid) END::numeric AS last,
				       CASE a.atttypid WHEN 'smallint'::regtype THEN 32767 WHEN 'integer'::regtype THEN 2147483647 ELSE 9223372036854775807 END::numeric AS most
				FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
				JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
				JOIN pg_sequence s ON s.seqrelid = d.objid WHERE i.indrelid = {oid} AND i.indisprimary) x WHERE last >= {keys} * most`,
			harm: "INSERT fails when it is used up, and the migration that mends it takes its time",
			cure: "begin the change to bigint now: the faster the table grows, the sooner",
		},
	}
}
