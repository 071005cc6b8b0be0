-- relax old (lock: ACCESS EXCLUSIVE)
-- metadata only: from Contract on old is not written
BEGIN;
ALTER TABLE public.users ALTER COLUMN user_name DROP NOT NULL;
ALTER TABLE public.users ALTER COLUMN user_name DROP DEFAULT;
ALTER TABLE public.users DROP CONSTRAINT named;
ALTER TABLE public.users DROP CONSTRAINT users_email_user_name_key;
DROP INDEX public.users_name;
COMMIT;
