CREATE OR REPLACE FUNCTION tandem."guard public.users.full_name insert"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET DateStyle = ISO AS $tandem$
BEGIN
  IF NEW.full_name_stamp IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = 'users.full_name: the migration admits stamps of phase Expand to Switch only', HINT = 'Read the phase again and retry.';
  END IF;
  PERFORM tandem.record_stray('users.full_name', 'insert');
  IF NEW.full_name IS NULL THEN
    INSERT INTO tandem.dirty (migration, key) VALUES ('users.full_name', ARRAY[NEW.id::text]);
    RETURN NEW;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'users.full_name: INSERT wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only user_name.';
END $tandem$;

CREATE OR REPLACE FUNCTION tandem."guard public.users.full_name update"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET DateStyle = ISO AS $tandem$
DECLARE
  old_changed boolean := NEW.user_name IS DISTINCT FROM OLD.user_name;
  new_changed boolean := NEW.full_name IS DISTINCT FROM OLD.full_name;
BEGIN
  IF NEW.full_name_stamp IS DISTINCT FROM OLD.full_name_stamp THEN
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = 'users.full_name: the migration admits stamps of phase Expand to Switch only', HINT = 'Read the phase again and retry.';
  END IF;
  PERFORM tandem.record_stray('users.full_name', 'update');
  IF old_changed AND new_changed THEN
    RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'users.full_name: UPDATE wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only user_name.';
  END IF;
  IF old_changed THEN
    NEW.full_name := NULL; NEW.full_name_stamp := NULL;
    INSERT INTO tandem.dirty (migration, key) VALUES ('users.full_name', ARRAY[NEW.id::text]);
  ELSE
    RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'users.full_name: UPDATE wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only user_name.';
  END IF;
  RETURN NEW;
END $tandem$;

CREATE OR REPLACE TRIGGER zz_tandem_full_name_insert BEFORE INSERT ON public.users FOR EACH ROW
  WHEN ((NEW.full_name_stamp BETWEEN 33554432 AND 83886079) IS NOT TRUE)
  EXECUTE FUNCTION tandem."guard public.users.full_name insert"();

CREATE OR REPLACE TRIGGER zz_tandem_full_name_update BEFORE UPDATE ON public.users FOR EACH ROW
  WHEN (CASE WHEN NEW.full_name_stamp IS DISTINCT FROM OLD.full_name_stamp THEN NEW.full_name_stamp NOT BETWEEN 33554432 AND 83886079 ELSE NEW.user_name IS DISTINCT FROM OLD.user_name OR NEW.full_name IS DISTINCT FROM OLD.full_name END)
  EXECUTE FUNCTION tandem."guard public.users.full_name update"();

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_insert;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update;

DROP TRIGGER IF EXISTS zz_tandem_full_name_action ON public.users;

DROP TRIGGER IF EXISTS zz_tandem_full_name_writes ON public.users;
