-- Version 2: reads of new that begin with a share of the keys, the way back that a fleet takes by itself, and phases that a hand cannot take away.

ALTER TABLE tandem.migration
	ADD COLUMN share     float8 NOT NULL DEFAULT 1 CHECK (share > 0 AND share <= 1),          -- of the keys that Switch reads from new
	ADD COLUMN tolerance float8 NOT NULL DEFAULT 1 CHECK (tolerance >= 0 AND tolerance <= 1), -- of the compared reads of Switch, what may differ; 1: all
	ADD COLUMN least     bigint NOT NULL DEFAULT 1000 CHECK (least > 0),                      -- compared reads before that is judged
	ADD COLUMN shared_at timestamptz,                                                         -- when share changed last
	ADD COLUMN swapped   pg_lsn;                                                              -- where the log was when the last writer of old alone had ended

-- Nobody has noted it for a migration that is there already: from now on is late enough.
UPDATE tandem.migration SET swapped = pg_current_wal_insert_lsn() WHERE phase = 'Contract';

-- migration name -> the phase of the epoch that the member has acknowledged.
ALTER TABLE tandem.member ADD COLUMN phases jsonb NOT NULL DEFAULT '{}';

-- Reads that compared old and new, by member and minute, so that members hardly ever wait for one another. Rows older than an hour, and of past epochs, go.
CREATE TABLE tandem.comparison (
	migration text NOT NULL,
	epoch     bigint NOT NULL,
	member    text NOT NULL,
	minute    timestamptz NOT NULL,
	compared  bigint NOT NULL,
	different bigint NOT NULL,
	PRIMARY KEY (migration, epoch, member, minute)
);

-- Adds what a member has compared in an epoch. When more of the fleet's reads in Switch have differed in the last five minutes than is tolerated, it takes the migration
-- back to Migrate and returns why, else NULL. It runs as the owner, because the roles of an application may not move a phase; the flip is safe whoever asks for it. There is none
-- from a Switch that came back from Contract and is not restored yet (old is stale there), nor once contract has taken unique indexes from old.
CREATE FUNCTION tandem.compare(migration text, epoch bigint, member text, compared bigint, different bigint) RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tandem$
DECLARE
	admitted tandem.migration;
	moment   timestamptz := clock_timestamp();
	who      text;
	seen     bigint;
	differed bigint;
	why      text;
BEGIN
	SELECT format('%s %s on %s pid %s', m.service, m.build, m.host, m.pid) INTO who FROM tandem.member m WHERE m.id = compare.member;
	SELECT * INTO admitted FROM tandem.migration m WHERE m.name = compare.migration AND m.epoch = compare.epoch;
	IF who IS NULL OR admitted.name IS NULL OR (compare.different >= 0 AND compare.different <= compare.compared AND compare.compared < 1e12) IS NOT TRUE THEN
		RETURN NULL; -- of an epoch that is over, or of nobody
	END IF;
	IF admitted.phase = 'Switch' AND admitted.guard = 'repair' AND admitted.relaxed = '{}' THEN
		-- Who may move the phase locks its row first, as a step of an operator does, or the two would wait for each other.
		SELECT coalesce(sum(c.compared), 0) + compare.compared, coalesce(sum(c.different), 0) + compare.different INTO seen, differed FROM tandem.comparison c
		WHERE c.migration = compare.migration AND c.epoch = compare.epoch AND c.minute > moment - interval '5 minutes' AND c.minute <= moment;
		IF seen >= admitted.least AND differed > admitted.tolerance * seen THEN
			SELECT * INTO admitted FROM tandem.migration m WHERE m.name = compare.migration AND m.epoch = compare.epoch AND m.guard = 'repair' AND m.relaxed = '{}' FOR NO KEY UPDATE;
			IF NOT FOUND THEN
				RETURN NULL; -- somebody else has moved it meanwhile
			END IF;
			why := format('%s of %s compared reads of the last minutes differed, more than the tolerated share of %s', differed, seen, admitted.tolerance);
		END IF;
	END IF;
	INSERT INTO tandem.comparison AS c VALUES (compare.migration, compare.epoch, compare.member, date_trunc('minute', moment), compare.compared, compare.different)
	ON CONFLICT ON CONSTRAINT comparison_pkey DO UPDATE SET compared = c.compared + EXCLUDED.compared, different = c.different + EXCLUDED.different;
	DELETE FROM tandem.comparison c WHERE c.migration = compare.migration AND c.epoch = compare.epoch AND c.member = compare.member AND c.minute < moment - interval '1 hour';
	IF why IS NULL THEN
		RETURN NULL;
	END IF;
	UPDATE tandem.migration m SET phase = 'Migrate', epoch = m.epoch + 1, changed_at = clock_timestamp() WHERE m.name = compare.migration;
	DELETE FROM tandem.comparison c WHERE c.migration = compare.migration;
	-- what was verified does not hold, and Switch asks for it again
	DELETE FROM tandem.backfill b WHERE b.migration = compare.migration AND b.kind = 'verify';
	INSERT INTO tandem.event (migration, kind, from_phase, to_phase, actor, detail) VALUES (compare.migration, 'fallback', 'Switch', 'Migrate', 'member ' || who, why);
	RETURN why;
END $tandem$;
GRANT EXECUTE ON FUNCTION tandem.compare(text, bigint, text, bigint, bigint) TO PUBLIC;

-- A program that joins without the row of a migration would write old alone, as before the start.
CREATE FUNCTION tandem.keep_migration() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $tandem$
DECLARE
	name text;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		SELECT string_agg(format('%s in %s', m.name, m.phase), ', ' ORDER BY m.name) INTO name FROM tandem.migration m WHERE m.phase <> 'Complete';
	ELSIF OLD.phase <> 'Complete' AND EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		CROSS JOIN LATERAL (SELECT coalesce(OLD.definition->'to', OLD.definition->'table') AS place) t -- where the stamp is
		WHERE n.nspname = t.place->>'schema' AND c.relname = t.place->>'name'
		  AND a.attname = OLD.definition->>'stamp' AND NOT a.attisdropped) THEN
		name := format('%s in %s', OLD.name, OLD.phase);
	END IF;
	IF name IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'TD003', MESSAGE = format('%s of tandem.%s would forget what is under way: %s', TG_OP, TG_TABLE_NAME, name),
			HINT = 'End a migration with contract.Apply (Drop), or take it back to Start and run expand.Undo.';
	END IF;
	RETURN OLD;
END $tandem$;
CREATE TRIGGER keep_row BEFORE DELETE ON tandem.migration FOR EACH ROW EXECUTE FUNCTION tandem.keep_migration();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON tandem.migration FOR EACH STATEMENT EXECUTE FUNCTION tandem.keep_migration();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON tandem.dirty FOR EACH STATEMENT EXECUTE FUNCTION tandem.keep_migration();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON tandem.bad_row FOR EACH STATEMENT EXECUTE FUNCTION tandem.keep_migration();
