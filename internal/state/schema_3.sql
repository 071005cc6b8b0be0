-- Version 3: passes in ranges, which any number of workers share, and what an operator asks of them while they run.

ALTER TABLE tandem.backfill
	DROP CONSTRAINT backfill_kind_check,
	ADD CONSTRAINT backfill_kind_check CHECK (kind ~ '^(copy|reverse)( |$)|^verify$'), -- what follows a blank is a part of the rows, or of the pairs
	ADD COLUMN under_way boolean NOT NULL DEFAULT false,   -- it has ranges, and not all rows are done
	ADD COLUMN round     int NOT NULL DEFAULT 0,           -- the first goes over all rows, those after it over what it left
	ADD COLUMN progress  text NOT NULL DEFAULT '',         -- what a runner has said last, in words
	ALTER COLUMN owner SET DEFAULT '';                     -- the workers are in tandem.range

-- Each claim of a range has a token of its own: who has lost a range, or the whole pass, writes nothing more.
CREATE SEQUENCE tandem.token;

-- A part of the table that one worker goes over at a time.
CREATE TABLE tandem.range (
	migration   text NOT NULL,
	kind        text NOT NULL,
	id          int NOT NULL,
	relation    text NOT NULL,                             -- the table or its partition, quoted
	low         text[],                                    -- the range begins behind this key, or with this block; NULL: with the first
	high        text[],                                    -- and ends with this key, or before this block
	blocks      boolean NOT NULL,                          -- blocks, not keys
	weight      float8 NOT NULL,                           -- its size in blocks or rows, to add up shares
	share       float8 NOT NULL DEFAULT 0,                 -- of it that has been gone over
	position    jsonb NOT NULL DEFAULT '{}',
	rows        bigint NOT NULL DEFAULT 0,                 -- written (copy, reverse) or compared (verify)
	differences bigint NOT NULL DEFAULT 0,
	done        boolean NOT NULL DEFAULT false,
	token       bigint NOT NULL DEFAULT 0,
	owner       text NOT NULL DEFAULT '',
	held        text NOT NULL DEFAULT '',                  -- why its worker rests
	seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
	written_at  timestamptz,                               -- when rows changed last
	PRIMARY KEY (migration, kind, id),
	FOREIGN KEY (migration, kind) REFERENCES tandem.backfill ON DELETE CASCADE
);

-- What is asked of all workers of a migration, whoever they are: state.Control. Without a row: nothing.
CREATE TABLE tandem.control (
	migration text PRIMARY KEY,
	control   jsonb NOT NULL
);

-- Why an operator lives with a row whose value does not convert; such a row holds nothing up.
ALTER TABLE tandem.bad_row
	ADD COLUMN accepted       text,                        -- the reason; NULL: nobody has
	ADD COLUMN accepted_by    text,
	ADD COLUMN accepted_at    timestamptz,
	ADD COLUMN accepted_value text,                        -- a digest of old's value then: it was accepted, another was not
	ADD COLUMN lose           boolean NOT NULL DEFAULT false; -- and that value may go with old
