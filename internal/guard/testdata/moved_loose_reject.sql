CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_insert" AFTER INSERT ON public.users FOR EACH ROW
  WHEN (NEW.bio IS NOT NULL)
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('reject');

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_update" AFTER UPDATE ON public.users FOR EACH ROW
  WHEN (ROW(NEW.bio)::record *<> ROW(OLD.bio)::record OR NEW.id IS DISTINCT FROM OLD.id OR NEW.shop IS DISTINCT FROM OLD.shop)
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('reject');

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_delete" AFTER DELETE ON public.users FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('reject');

CREATE OR REPLACE TRIGGER "zz_tandem_profiles.bio_writes" AFTER UPDATE OF bio ON public.users FOR EACH ROW
  WHEN (NOT (ROW(NEW.bio)::record *<> ROW(OLD.bio)::record))
  EXECUTE FUNCTION tandem."guard public.profiles.bio old"('reject');

CREATE OR REPLACE TRIGGER zz_tandem_bio_insert BEFORE INSERT ON public.profiles FOR EACH ROW
  WHEN ((NEW.bio_stamp BETWEEN 67108864 AND 100663295) IS NOT TRUE)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('reject', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_bio_update AFTER UPDATE ON public.profiles FOR EACH ROW
  WHEN (CASE WHEN NEW.bio_stamp IS DISTINCT FROM OLD.bio_stamp THEN (NEW.bio_stamp BETWEEN 67108864 AND 100663295) IS NOT TRUE ELSE ROW(NEW.bio)::record *<> ROW(OLD.bio)::record END OR NEW.b IS DISTINCT FROM OLD.b OR NEW.a IS DISTINCT FROM OLD.a)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('reject', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_bio_delete AFTER DELETE ON public.profiles FOR EACH ROW
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('reject', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_bio_truncate AFTER TRUNCATE ON public.profiles FOR EACH STATEMENT
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('reject', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_bio_writes AFTER UPDATE OF bio ON public.profiles FOR EACH ROW
  WHEN (NEW.bio_stamp IS NOT DISTINCT FROM OLD.bio_stamp)
  EXECUTE FUNCTION tandem."guard public.profiles.bio new"('reject', 'Switch', 'Contract');

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_insert";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_update";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_delete";

ALTER TABLE public.users ENABLE ALWAYS TRIGGER "zz_tandem_profiles.bio_writes";

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_insert;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_update;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_delete;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_truncate;

ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER zz_tandem_bio_writes;
