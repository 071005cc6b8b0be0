-- Version 1 of the state schema. It runs once, in one transaction, under an advisory lock of that transaction.
-- Nothing here has a foreign key to migration: strays must never wait for one another, nor for an operator's step.

-- One row a pair: the phase that the database admits.
CREATE TABLE tandem.migration (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name        text NOT NULL UNIQUE,
	definition  jsonb NOT NULL,
	fingerprint text NOT NULL,
	phase       text NOT NULL CHECK (phase IN ('Start', 'Expand', 'Migrate', 'Switch', 'Contract', 'Complete')),
	guard       text NOT NULL CHECK (guard IN ('none', 'repair', 'reject', 'reverse')),
	epoch       bigint NOT NULL DEFAULT 1,                -- grows with every change of phase
	relaxed     jsonb NOT NULL DEFAULT '{}',              -- what contract took from old: how to give it back, how to give it to new
	changed_at  timestamptz NOT NULL DEFAULT now(),
	created_at  timestamptz NOT NULL DEFAULT now()
);

-- One row a running instance. epochs: migration name -> the epoch it has acknowledged.
CREATE TABLE tandem.member (
	id         text PRIMARY KEY,
	service    text NOT NULL,
	build      text NOT NULL,
	host       text NOT NULL,
	pid        int NOT NULL,
	epochs     jsonb NOT NULL DEFAULT '{}',
	started_at timestamptz NOT NULL DEFAULT now(),
	seen_at    timestamptz NOT NULL DEFAULT now()
);

-- Who did what and when.
CREATE TABLE tandem.event (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	migration  text NOT NULL,
	kind       text NOT NULL,
	from_phase text,
	to_phase   text,
	actor      text NOT NULL,
	detail     text NOT NULL DEFAULT '',
	waived     jsonb NOT NULL DEFAULT '{}',               -- gate -> reason
	at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON tandem.event (migration, id);

-- One row for each kind of pass over a table: copy, reverse, verify. token fences off a runner that was taken over.
CREATE TABLE tandem.backfill (
	migration   text NOT NULL,
	kind        text NOT NULL CHECK (kind IN ('copy', 'reverse', 'verify')),
	token       bigint NOT NULL DEFAULT 1,
	owner       text NOT NULL,
	position    jsonb NOT NULL DEFAULT '{}',
	rows        bigint NOT NULL DEFAULT 0,                -- written (copy, reverse) or compared (verify)
	differences bigint NOT NULL DEFAULT 0,
	total       bigint NOT NULL DEFAULT 0,                -- estimate at the start
	started_at  timestamptz NOT NULL DEFAULT now(),
	updated_at  timestamptz NOT NULL DEFAULT now(),
	written_at  timestamptz,                              -- when rows changed last
	finished_at timestamptz,
	PRIMARY KEY (migration, kind)
);

-- Keys of rows that a stray changed and that only Go can convert: the sweeper's work.
CREATE TABLE tandem.dirty (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	migration text NOT NULL,
	key       text[] NOT NULL,
	at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON tandem.dirty (migration, id);

-- Who wrote around the wrappers, at most one row a transaction and migration.
CREATE TABLE tandem.stray (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	migration   text NOT NULL,
	operation   text NOT NULL,
	application text NOT NULL,
	role        text NOT NULL,
	address     text NOT NULL,
	query_start timestamptz NOT NULL,
	at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON tandem.stray (migration, at);

-- Rows whose value does not convert.
CREATE TABLE tandem.bad_row (
	migration text NOT NULL,
	key       text[] NOT NULL,
	error     text NOT NULL,
	at        timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (migration, key)
);

-- Rows of which old and new did not agree, seen by a read or by verify.
CREATE TABLE tandem.mismatch (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	migration text NOT NULL,
	key       text[] NOT NULL,
	detail    text NOT NULL,
	phase     text NOT NULL,
	source    text NOT NULL,                              -- read or verify
	member    text NOT NULL DEFAULT '',
	at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON tandem.mismatch (migration, at);

-- Called by the repair guard, as the owner. A setting local to the transaction remembers that this transaction is on record.
CREATE FUNCTION tandem.record_stray(migration text, operation text) RETURNS void LANGUAGE plpgsql AS $tandem$
DECLARE
	seen text := 'tandem.seen_' || substr(md5(migration), 1, 16);
BEGIN
	IF coalesce(current_setting(seen, true), '') = '' THEN
		PERFORM set_config(seen, '1', true);
		INSERT INTO tandem.stray (migration, operation, application, role, address, query_start)
		VALUES (record_stray.migration, record_stray.operation, current_setting('application_name'), session_user,
		        coalesce(host(inet_client_addr()), 'local'), statement_timestamp());
	END IF;
END $tandem$;

-- The reject guard's trigger function. Arguments: migration, first phase's name, last phase's name.
CREATE FUNCTION tandem.reject() RETURNS trigger LANGUAGE plpgsql AS $tandem$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'TD001',
		MESSAGE = format('%s of %I.%I: the migration %s admits only writes of the pair with a new stamp of phase %s to %s',
		                 TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]),
		HINT = 'Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.';
END $tandem$;

-- Roles of the application besides the owner may join, read phases and report differences.
GRANT USAGE ON SCHEMA tandem TO PUBLIC;
GRANT SELECT ON tandem.migration TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON tandem.member TO PUBLIC;
GRANT INSERT ON tandem.mismatch TO PUBLIC;
