CREATE OR REPLACE FUNCTION tandem."guard public.profiles.bio old"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $tandem$
BEGIN
  IF TG_OP = 'DELETE' THEN -- unstamped, what is left of it means nothing to the next row of that key
    UPDATE public.profiles AS p SET bio = NULL, bio_stamp = NULL WHERE p.user_id = OLD.id AND p.bio_stamp IS NOT NULL;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.id IS DISTINCT FROM OLD.id THEN
      RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'profiles.bio: the key of a row cannot change while a column moves to another table', HINT = 'Change it before or after the migration.';
    END IF;
  END IF;
  IF TG_ARGV[0] = 'reject' THEN
    IF TG_OP = 'UPDATE' AND NEW.bio IS NULL AND pg_trigger_depth() > 1 AND NOT EXISTS (SELECT FROM public.profiles AS p WHERE p.user_id = NEW.id) THEN
      RETURN NEW; -- the row of To has been deleted
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = 'profiles.bio: users.bio is not written any more', HINT = 'Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.';
  END IF;
  UPDATE public.profiles AS p SET bio = t.bio, bio_stamp = 67108864 + ((coalesce(p.bio_stamp, 0) + 1 + (random() * 16000000)::int4) & 16777215) FROM public.users AS t WHERE t.id = NEW.id AND p.user_id = t.id;
  RETURN NEW;
END $tandem$;

CREATE OR REPLACE FUNCTION tandem."guard public.profiles.bio new"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $tandem$
DECLARE
  tandem_want "public"."profiles"."bio"%TYPE := NULL;
  tandem_back "public"."users"."bio"%TYPE := NULL;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    UPDATE public.users AS t SET bio = NULL WHERE t.bio IS NOT NULL;
    RETURN NULL;
  END IF;
  IF TG_OP = 'DELETE' THEN -- old is stale and would be the truth again
    UPDATE public.users AS t SET bio = NULL WHERE t.id = OLD.user_id AND t.bio IS NOT NULL;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.user_id IS DISTINCT FROM OLD.user_id THEN
      RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'profiles.bio: the key of a row cannot change while a column moves to another table', HINT = 'Change it before or after the migration.';
    END IF;
    IF NEW.bio_stamp IS DISTINCT FROM OLD.bio_stamp THEN
      IF NEW.bio_stamp IS NULL AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = NEW.user_id) THEN
        RETURN NEW; -- the row of Table has been deleted
      END IF;
      RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = format('profiles.bio: the migration admits only writes with a new stamp of phase %s to %s', TG_ARGV[1], TG_ARGV[2]), HINT = 'Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.';
    END IF;
  END IF;
  IF TG_OP = 'INSERT' AND TG_WHEN = 'BEFORE' THEN
    IF NEW.bio_stamp IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = format('profiles.bio: the migration admits only writes with a new stamp of phase %s to %s', TG_ARGV[1], TG_ARGV[2]), HINT = 'Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.';
    END IF;
    IF NEW.bio IS NULL THEN -- made by somebody who does not know the column
      SELECT t.bio, 67108864 + (random() * 16777215)::int4 INTO NEW.bio, NEW.bio_stamp FROM public.users AS t WHERE t.id = NEW.user_id FOR SHARE;
      RETURN NEW;
    END IF;
  END IF;
  IF TG_ARGV[0] <> 'repair' THEN
    RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = format('profiles.bio: the migration admits only writes with a new stamp of phase %s to %s', TG_ARGV[1], TG_ARGV[2]), HINT = 'Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.';
  END IF;
  PERFORM tandem.record_stray('profiles.bio', lower(TG_OP));
  IF TG_OP = 'INSERT' AND TG_WHEN = 'BEFORE' THEN
    SELECT t.bio INTO tandem_want FROM public.users AS t WHERE t.id = NEW.user_id FOR NO KEY UPDATE;
    IF FOUND AND NOT (NEW.bio IS DISTINCT FROM tandem_want) THEN
      NEW.bio_stamp := 67108864 + (random() * 16777215)::int4;
    END IF;
    RETURN NEW;
  END IF;
  tandem_back := NEW.bio;
  UPDATE public.users AS t SET bio = tandem_back WHERE t.id = NEW.user_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'profiles.bio: a program wrote the pair without a stamp in a way that would lose a value', HINT = 'Write through the wrappers, or write only bio.';
  END IF;
  RETURN NEW;
END $tandem$;

CREATE OR REPLACE FUNCTION tandem."guard public.profiles.bio row"() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $tandem$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM public.profiles AS p WHERE p.user_id = OLD.user_id AND p.bio_stamp IS NOT NULL) THEN
      INSERT INTO public.profiles AS p (user_id, bio, bio_stamp) SELECT t.id, t.bio, 67108864 + (random() * 16777215)::int4 FROM public.users AS t WHERE t.id = OLD.user_id FOR SHARE
      ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio, bio_stamp = EXCLUDED.bio_stamp WHERE p.bio_stamp IS NULL;
    END IF;
  ELSE
    IF NOT EXISTS (SELECT FROM public.profiles AS p WHERE p.user_id = NEW.id AND p.bio_stamp IS NOT NULL) THEN
      INSERT INTO public.profiles AS p (user_id, bio, bio_stamp) SELECT t.id, t.bio, 67108864 + (random() * 16777215)::int4 FROM public.users AS t WHERE t.id = NEW.id FOR SHARE
      ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio, bio_stamp = EXCLUDED.bio_stamp WHERE p.bio_stamp IS NULL;
    END IF;
  END IF;
  RETURN NULL;
END $tandem$;

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_insert" AFTER INSERT ON public.users FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('repair');

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_update" AFTER UPDATE ON public.users FOR EACH ROW
  WHEN (NEW.bio IS DISTINCT FROM OLD.bio OR NEW.id IS DISTINCT FROM OLD.id)
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('repair');

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_delete" AFTER DELETE ON public.users FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('repair');

CREATE OR REPLACE TRIGGER zz_tandem_bio_insert BEFORE INSERT ON public.profiles FOR EACH ROW
  WHEN ((NEW.bio_stamp BETWEEN 33554432 AND 83886079) IS NOT TRUE)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('repair', 'Expand', 'Switch');

CREATE OR REPLACE TRIGGER zz_tandem_bio_update AFTER UPDATE ON public.profiles FOR EACH ROW
  WHEN (CASE WHEN NEW.bio_stamp IS DISTINCT FROM OLD.bio_stamp THEN NEW.bio_stamp NOT BETWEEN 33554432 AND 83886079 ELSE NEW.bio IS DISTINCT FROM OLD.bio END OR NEW.user_id IS DISTINCT FROM OLD.user_id)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('repair', 'Expand', 'Switch');

CREATE OR REPLACE TRIGGER zz_tandem_bio_carry AFTER INSERT ON public.profiles FOR EACH ROW
  WHEN (NEW.bio_stamp IS NULL AND NEW.bio IS NOT NULL)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('repair', 'Expand', 'Switch');

DROP TRIGGER IF EXISTS "zz_tandem_profiles.bio_row" ON public.users;

CREATE CONSTRAINT TRIGGER "zz_tandem_profiles.bio_row" AFTER INSERT ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio row"();

DROP TRIGGER IF EXISTS "zz_tandem_profiles.bio_row_update" ON public.users;

CREATE CONSTRAINT TRIGGER "zz_tandem_profiles.bio_row_update" AFTER UPDATE ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.bio IS DISTINCT FROM OLD.bio)
  EXECUTE FUNCTION tandem."guard public.profiles.bio row"();

DROP TRIGGER IF EXISTS zz_tandem_bio_row ON public.profiles;

CREATE CONSTRAINT TRIGGER zz_tandem_bio_row AFTER DELETE ON public.profiles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio row"();

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_insert";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_update";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_delete";

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_insert;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_update;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_carry;

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_row";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_row_update";

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_row;

DROP TRIGGER IF EXISTS "zz_tandem_profiles.bio_writes" ON public.users;

DROP TRIGGER IF EXISTS zz_tandem_bio_writes ON public.profiles;

DROP TRIGGER IF EXISTS zz_tandem_bio_delete ON public.profiles;

DROP TRIGGER IF EXISTS zz_tandem_bio_truncate ON public.profiles;
