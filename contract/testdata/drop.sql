-- drop old, stamp and guard (lock: ACCESS EXCLUSIVE)
-- metadata only; without CASCADE
BEGIN;
DROP TRIGGER IF EXISTS zz_tandem_full_name_insert ON public.users;
DROP TRIGGER IF EXISTS zz_tandem_full_name_update ON public.users;
DROP TRIGGER IF EXISTS zz_tandem_full_name_action ON public.users;
DROP TRIGGER IF EXISTS zz_tandem_full_name_writes ON public.users;
DROP FUNCTION IF EXISTS tandem."guard public.users.full_name insert"();
DROP FUNCTION IF EXISTS tandem."guard public.users.full_name update"();
DROP FUNCTION IF EXISTS tandem."guard public.users.full_name action"();
ALTER TABLE public.users DROP COLUMN user_name;
ALTER TABLE public.users DROP COLUMN full_name_stamp;
ALTER INDEX public.users_lower_tandem_62dd85 RENAME TO users_lower;
ALTER TABLE public.users RENAME CONSTRAINT named_tandem_62dd85 TO named;
ALTER TABLE public.users RENAME CONSTRAINT users_email_user_name_key_tandem_62dd85 TO users_email_user_name_key;
ALTER INDEX public.users_name_tandem_62dd85 RENAME TO users_name;
COMMIT;
