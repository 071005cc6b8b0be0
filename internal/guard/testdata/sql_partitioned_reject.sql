CREATE OR REPLACE TRIGGER zz_tandem_full_name_insert BEFORE INSERT ON public.users FOR EACH ROW
  WHEN ((NEW.full_name_stamp BETWEEN 33554432 AND 100663295) IS NOT TRUE)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_full_name_update BEFORE UPDATE ON public.users FOR EACH ROW
  WHEN (CASE WHEN NEW.full_name_stamp IS DISTINCT FROM OLD.full_name_stamp THEN (NEW.full_name_stamp BETWEEN 67108864 AND 100663295) IS NOT TRUE ELSE NEW.user_name IS DISTINCT FROM OLD.user_name OR NEW.full_name IS DISTINCT FROM OLD.full_name END)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_full_name_writes BEFORE UPDATE OF user_name, full_name ON public.users FOR EACH ROW
  WHEN (NEW.full_name_stamp IS NOT DISTINCT FROM OLD.full_name_stamp)
  EXECUTE FUNCTION tandem.reject('users.full_name', 'Switch', 'Contract');

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_insert;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER zz_tandem_full_name_writes;

DROP TRIGGER IF EXISTS zz_tandem_full_name_action ON public.users;
