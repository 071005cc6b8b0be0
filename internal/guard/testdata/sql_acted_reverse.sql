CREATE OR REPLACE FUNCTION tandem."guard public.users.full_name action"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tandem$
BEGIN
  NEW.user_name := NEW.full_name;
  NEW.full_name_stamp := 67108864 + (random() * 16777215)::int4;
  RETURN NEW;
END $tandem$;

CREATE OR REPLACE TRIGGER zz_tandem_full_name_insert BEFORE INSERT ON public.users FOR EACH ROW
  WHEN ((NEW.full_name_stamp BETWEEN 67108864 AND 83886079) IS NOT TRUE)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Switch');

CREATE OR REPLACE TRIGGER zz_tandem_full_name_update AFTER UPDATE ON public.users FOR EACH ROW
  WHEN (CASE WHEN NEW.full_name_stamp IS DISTINCT FROM OLD.full_name_stamp THEN (NEW.full_name_stamp BETWEEN 67108864 AND 83886079) IS NOT TRUE ELSE NEW.user_name IS DISTINCT FROM OLD.user_name OR NEW.full_name IS DISTINCT FROM OLD.full_name END)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Switch');

CREATE OR REPLACE TRIGGER zz_tandem_full_name_writes AFTER UPDATE OF user_name, full_name ON public.users FOR EACH ROW
  WHEN (NEW.full_name_stamp IS NOT DISTINCT FROM OLD.full_name_stamp)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Switch');

CREATE OR REPLACE TRIGGER zz_tandem_full_name_action BEFORE UPDATE ON public.users FOR EACH ROW
  WHEN (pg_trigger_depth() > 0 AND (NEW.full_name IS DISTINCT FROM OLD.full_name) AND NOT (NEW.user_name IS DISTINCT FROM OLD.user_name) AND NEW.full_name_stamp IS NOT DISTINCT FROM OLD.full_name_stamp)
  EXECUTE FUNCTION tandem."guard public.users.full_name action"();

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_insert;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_writes;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_action;
