-- see that no row has NULL in user_name (lock: ACCESS SHARE)
-- the check would refuse every write of such a row
BEGIN;
DO 'BEGIN IF EXISTS (SELECT FROM public.users WHERE user_name IS NULL) THEN RAISE EXCEPTION USING ERRCODE = ''23502'', MESSAGE = ''users.full_name: rows with NULL in user_name, which is to be NOT NULL: mend them, and run it again''; END IF; END';
COMMIT;

-- check user_name IS NOT NULL (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users DROP CONSTRAINT IF EXISTS tandem_user_name_not_null;
ALTER TABLE public.users ADD CONSTRAINT tandem_user_name_not_null CHECK (user_name IS NOT NULL) NOT VALID;
COMMIT;

-- validate it (lock: SHARE UPDATE EXCLUSIVE)
BEGIN;
ALTER TABLE public.users VALIDATE CONSTRAINT tandem_user_name_not_null;
COMMIT;

-- set NOT NULL (lock: ACCESS EXCLUSIVE)
-- the validated check spares the scan
BEGIN;
ALTER TABLE public.users ALTER COLUMN user_name SET NOT NULL;
ALTER TABLE public.users DROP CONSTRAINT tandem_user_name_not_null;
COMMIT;

-- default of old (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users ALTER COLUMN user_name SET DEFAULT 'anonymous'::text;
COMMIT;

-- restore named (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users ADD CONSTRAINT named CHECK ((user_name <> ''::text)) NOT VALID;
COMMIT;

-- restore named (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users VALIDATE CONSTRAINT named;
COMMIT;

-- build users_email_user_name_key again (lock: SHARE UPDATE EXCLUSIVE)
DROP INDEX CONCURRENTLY IF EXISTS public.users_email_user_name_key;
CREATE UNIQUE INDEX CONCURRENTLY users_email_user_name_key ON public.users USING btree (email, user_name);

-- restore users_email_user_name_key (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users ADD CONSTRAINT users_email_user_name_key UNIQUE USING INDEX users_email_user_name_key;
COMMIT;

-- build users_name again (lock: SHARE UPDATE EXCLUSIVE)
DROP INDEX CONCURRENTLY IF EXISTS public.users_name;
CREATE UNIQUE INDEX CONCURRENTLY users_name ON public.users USING btree (user_name);

-- note it (lock: none)
-- old is whole again
BEGIN;
COMMIT;
