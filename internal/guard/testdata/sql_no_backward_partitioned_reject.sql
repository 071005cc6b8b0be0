CREATE OR REPLACE TRIGGER zz_tandem_price_cents_insert BEFORE INSERT ON app."Items" FOR EACH ROW
  WHEN ((NEW.price_cents_stamp BETWEEN 33554432 AND 100663295) IS NOT TRUE)
  EXECUTE FUNCTION tandem.reject('app."Items".price_cents', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_price_cents_update BEFORE UPDATE ON app."Items" FOR EACH ROW
  WHEN (CASE WHEN NEW.price_cents_stamp IS DISTINCT FROM OLD.price_cents_stamp THEN (NEW.price_cents_stamp BETWEEN 67108864 AND 100663295) IS NOT TRUE ELSE ROW(NEW.price)::record *<> ROW(OLD.price)::record OR NEW.price_cents IS DISTINCT FROM OLD.price_cents END)
  EXECUTE FUNCTION tandem.reject('app."Items".price_cents', 'Switch', 'Contract');

CREATE OR REPLACE TRIGGER zz_tandem_price_cents_writes BEFORE UPDATE OF price, price_cents ON app."Items" FOR EACH ROW
  WHEN (NEW.price_cents_stamp IS NOT DISTINCT FROM OLD.price_cents_stamp)
  EXECUTE FUNCTION tandem.reject('app."Items".price_cents', 'Switch', 'Contract');

ALTER TABLE app."Items" ENABLE ALWAYS TRIGGER zz_tandem_price_cents_insert;

ALTER TABLE app."Items" ENABLE ALWAYS TRIGGER zz_tandem_price_cents_update;

ALTER TABLE app."Items" ENABLE ALWAYS TRIGGER zz_tandem_price_cents_writes;

DROP TRIGGER IF EXISTS zz_tandem_price_cents_action ON app."Items";
