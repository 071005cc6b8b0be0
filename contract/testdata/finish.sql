-- see that no row has NULL in full_name (lock: ACCESS SHARE)
-- the check would refuse every write of such a row
BEGIN;
DO 'BEGIN IF EXISTS (SELECT FROM public.users WHERE full_name IS NULL) THEN RAISE EXCEPTION USING ERRCODE = ''23502'', MESSAGE = ''users.full_name: rows with NULL in full_name, which is to be NOT NULL: mend them, and run it again''; END IF; END';
COMMIT;

-- check full_name IS NOT NULL (lock: ACCESS EXCLUSIVE)
BEGIN;
ALTER TABLE public.users DROP CONSTRAINT IF EXISTS tandem_full_name_not_null;
ALTER TABLE public.users ADD CONSTRAINT tandem_full_name_not_null CHECK (full_name IS NOT NULL) NOT VALID;
COMMIT;

-- validate it (lock: SHARE UPDATE EXCLUSIVE)
BEGIN;
ALTER TABLE public.users VALIDATE CONSTRAINT tandem_full_name_not_null;
COMMIT;

-- set NOT NULL (lock: ACCESS EXCLUSIVE)
-- the validated check spares the scan
BEGIN;
ALTER TABLE public.users ALTER COLUMN full_name SET NOT NULL;
ALTER TABLE public.users DROP CONSTRAINT tandem_full_name_not_null;
COMMIT;

-- default of new (lock: ACCESS EXCLUSIVE)
-- metadata only
BEGIN;
ALTER TABLE public.users ALTER COLUMN full_name SET DEFAULT 'anonymous'::text;
COMMIT;
