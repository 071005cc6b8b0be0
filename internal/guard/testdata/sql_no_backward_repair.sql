CREATE OR REPLACE FUNCTION tandem."guard app.""Items"".price_cents insert"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tandem$
DECLARE
  want_1 "app"."Items"."price_cents"%TYPE := NEW.price_cents;
BEGIN
  IF NEW.price_cents_stamp IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = 'app."Items".price_cents: the migration admits stamps of phase Expand to Switch only', HINT = 'Read the phase again and retry.';
  END IF;
  PERFORM tandem.record_stray('app."Items".price_cents', 'insert');
  IF NEW.price_cents IS NULL THEN
    NEW.price_cents := CAST(round(NEW.price * 100) AS bigint); NEW.price_cents_stamp := 33554432 + (random() * 16777215)::int4;
    RETURN NEW;
  END IF;
  want_1 := CAST(round(NEW.price * 100) AS bigint);
  IF NOT (NEW.price_cents IS DISTINCT FROM want_1) THEN
    NEW.price_cents_stamp := 33554432 + (random() * 16777215)::int4;
    RETURN NEW;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'app."Items".price_cents: INSERT wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only price.';
END $tandem$;

CREATE OR REPLACE FUNCTION tandem."guard app.""Items"".price_cents update"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tandem$
DECLARE
  old_changed boolean := ROW(NEW.price)::record *<> ROW(OLD.price)::record;
  new_changed boolean := NEW.price_cents IS DISTINCT FROM OLD.price_cents;
  want_1 "app"."Items"."price_cents"%TYPE := NEW.price_cents;
BEGIN
  IF NEW.price_cents_stamp IS DISTINCT FROM OLD.price_cents_stamp THEN
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = 'app."Items".price_cents: the migration admits stamps of phase Expand to Switch only', HINT = 'Read the phase again and retry.';
  END IF;
  PERFORM tandem.record_stray('app."Items".price_cents', 'update');
  IF old_changed AND new_changed THEN
    want_1 := CAST(round(NEW.price * 100) AS bigint);
    IF NEW.price_cents IS DISTINCT FROM want_1 THEN
      RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'app."Items".price_cents: UPDATE wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only price.';
    END IF;
  END IF;
  IF old_changed THEN
    UPDATE app."Items" AS t SET price_cents = CAST(round(t.price * 100) AS bigint), price_cents_stamp = 33554432 + (random() * 16777215)::int4 WHERE t.shop = NEW.shop AND t.id = NEW.id;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'app."Items".price_cents: UPDATE wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only price.';
    END IF;
  ELSE
    RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'app."Items".price_cents: UPDATE wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only price.';
  END IF;
  RETURN NEW;
END $tandem$;

CREATE OR REPLACE TRIGGER zz_tandem_price_cents_insert BEFORE INSERT ON app."Items" FOR EACH ROW
  WHEN ((NEW.price_cents_stamp BETWEEN 33554432 AND 83886079) IS NOT TRUE)
  EXECUTE FUNCTION tandem."guard app.""Items"".price_cents insert"();

CREATE OR REPLACE TRIGGER zz_tandem_price_cents_update AFTER UPDATE ON app."Items" FOR EACH ROW
  WHEN (CASE WHEN NEW.price_cents_stamp IS DISTINCT FROM OLD.price_cents_stamp THEN NEW.price_cents_stamp NOT BETWEEN 33554432 AND 83886079 ELSE ROW(NEW.price)::record *<> ROW(OLD.price)::record OR NEW.price_cents IS DISTINCT FROM OLD.price_cents END)
  EXECUTE FUNCTION tandem."guard app.""Items"".price_cents update"();

ALTER TABLE app."Items" ENABLE ALWAYS TRIGGER zz_tandem_price_cents_insert;

ALTER TABLE app."Items" ENABLE ALWAYS TRIGGER zz_tandem_price_cents_update;

DROP TRIGGER IF EXISTS zz_tandem_price_cents_action ON app."Items";

DROP TRIGGER IF EXISTS zz_tandem_price_cents_writes ON app."Items";
