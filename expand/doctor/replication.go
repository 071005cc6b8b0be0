package doctor

// replicationChecks are of what leaves the server, and of what comes from another.
func replicationChecks() []check {
	return []check{
		{
			name: "published",
			sql: `SELECT 'publication ' || p.pubname AS place, 'it publishes the table' AS what FROM pg_publication p
				WHERE EXISTS (SELECT FROM pg_publication_tables t JOIN pg_class c ON c.relname = t.tablename JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.schemaname
					WHERE t.pubname = p.pubname AND (c.oid = {oid} OR c.oid IN (SELECT relid FROM pg_partition_tree({oid})))) ORDER BY 1`,
			harm: "DDL is not replicated: a subscriber whose table lacks the new column and the stamp stops at the first row that has them, and its slot keeps WAL from then on",
			cure: "add both columns to the subscribers' tables first, without the guard, and drop old there last; look after a list of columns or a row filter (contract.Check names them)",
		},
		{
			name: "subscribed",
			sql: `SELECT 'subscription ' || s.subname AS place, 'it writes the table' AS what FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid
				WHERE r.srrelid = {oid} OR r.srrelid IN (SELECT relid FROM pg_partition_tree({oid})) ORDER BY 1`,
			harm: "its rows come without a stamp, as those of an old binary that never goes away: the guard repairs them up to Switch, and refuses them from Contract on, which stops the subscription",
			cure: "migrate the publisher first, and this table with it",
		},
		{
			name: "replica-identity",
			sql: `SELECT c.oid::regclass::text AS place, CASE c.relreplident WHEN 'f' THEN 'REPLICA IDENTITY FULL: each update logs the whole old row' ELSE 'it is published and has no replica identity' END AS what
				FROM pg_class c WHERE (c.oid = {oid} OR c.oid IN (SELECT relid FROM pg_partition_tree({oid}) WHERE isleaf)) AND c.relkind = 'r' AND (c.relreplident = 'f' AND current_setting('wal_level') = 'logical'
					OR (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
					AND EXISTS (SELECT FROM pg_publication p WHERE p.pubupdate AND (p.puballtables OR EXISTS (SELECT FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
						WHERE t.pubname = p.pubname AND t.tablename = c.relname AND n.oid = c.relnamespace)))) ORDER BY 1`,
			harm: "without an identity the server refuses every UPDATE of a published table, the backfill's too; with FULL a backfill writes each row to the log twice",
			cure: "give the table a primary key, or ALTER TABLE ... REPLICA IDENTITY USING INDEX",
		},
		{
			name: "slot",
			sql: `SELECT 'replication slot ' || slot_name AS place, concat_ws(', ', CASE WHEN NOT active THEN 'nobody reads it' END, 'wal_status ' || wal_status, pg_size_pretty(kept) || ' of WAL are kept for it') AS what
				FROM (SELECT *, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn) AS kept FROM pg_replication_slots) s
				WHERE wal_status IN ('unreserved', 'lost') OR kept >= {wal} OR NOT active AND kept IS NOT NULL ORDER BY slot_name`,
			harm: "a backfill writes WAL, all of which is kept for it: the disk fills, or the slot is lost (max_slot_wal_keep_size)",
			cure: "let its reader catch up, or pg_drop_replication_slot; throttle.Slots holds the backfill back",
		},
	}
}
