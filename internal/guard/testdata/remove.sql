DROP TRIGGER IF EXISTS zz_tandem_price_cents_insert ON app."Items";
DROP TRIGGER IF EXISTS zz_tandem_price_cents_update ON app."Items";
DROP TRIGGER IF EXISTS zz_tandem_price_cents_action ON app."Items";
DROP TRIGGER IF EXISTS zz_tandem_price_cents_writes ON app."Items";
DROP FUNCTION IF EXISTS tandem."guard app.""Items"".price_cents insert"();
DROP FUNCTION IF EXISTS tandem."guard app.""Items"".price_cents update"();
DROP FUNCTION IF EXISTS tandem."guard app.""Items"".price_cents action"();
