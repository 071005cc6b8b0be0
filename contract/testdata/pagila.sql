-- A DVD rental in the manner of the sample database pagila: films and actors, two stores with stock and staff, customers, rentals, payments by month.
-- The names are pagila's, the text and the rows are not.

CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);

CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.last_update = CURRENT_TIMESTAMP;
	RETURN NEW;
END $$;

CREATE FUNCTION _group_concat(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce($1 || ', ', '') || coalesce($2, '') $$;
CREATE AGGREGATE group_concat(text) (SFUNC = _group_concat, STYPE = text);

CREATE FUNCTION last_day(timestamptz) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT (date_trunc('month', $1 AT TIME ZONE 'UTC') + interval '1 month - 1 day')::date $$;

CREATE TABLE actor (
	actor_id serial PRIMARY KEY,
	first_name text NOT NULL,
	last_name text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_actor_last_name ON actor (last_name);

CREATE TABLE category (
	category_id serial PRIMARY KEY,
	name text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now());

CREATE TABLE language (
	language_id serial PRIMARY KEY,
	name character(20) NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now());

CREATE TABLE country (
	country_id serial PRIMARY KEY,
	country text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now());

CREATE TABLE city (
	city_id serial PRIMARY KEY,
	city text NOT NULL,
	country_id integer NOT NULL REFERENCES country ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_fk_country_id ON city (country_id);

CREATE TABLE address (
	address_id serial PRIMARY KEY,
	address text NOT NULL,
	address2 text,
	district text NOT NULL,
	city_id integer NOT NULL REFERENCES city ON UPDATE CASCADE ON DELETE RESTRICT,
	postal_code text,
	phone text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_fk_city_id ON address (city_id);

CREATE TABLE film (
	film_id serial PRIMARY KEY,
	title text NOT NULL,
	description text,
	release_year year,
	language_id integer NOT NULL REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT,
	original_language_id integer REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT,
	rental_duration smallint NOT NULL DEFAULT 3,
	rental_rate numeric(4,2) NOT NULL DEFAULT 4.99,
	length smallint,
	replacement_cost numeric(5,2) NOT NULL DEFAULT 19.99,
	rating mpaa_rating DEFAULT 'G',
	last_update timestamptz NOT NULL DEFAULT now(),
	special_features text[],
	fulltext tsvector NOT NULL);
CREATE INDEX film_fulltext_idx ON film USING gist (fulltext);
CREATE INDEX idx_title ON film (title);
CREATE INDEX idx_fk_language_id ON film (language_id);
CREATE INDEX idx_fk_original_language_id ON film (original_language_id);
CREATE TRIGGER film_fulltext_trigger BEFORE INSERT OR UPDATE ON film
	FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');

CREATE TABLE film_actor (
	actor_id integer NOT NULL REFERENCES actor ON UPDATE CASCADE ON DELETE RESTRICT,
	film_id integer NOT NULL REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (actor_id, film_id));
CREATE INDEX idx_fk_film_id ON film_actor (film_id);

CREATE TABLE film_category (
	film_id integer NOT NULL REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT,
	category_id integer NOT NULL REFERENCES category ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (film_id, category_id));

-- store and staff point at each other.
CREATE TABLE store (
	store_id serial PRIMARY KEY,
	manager_staff_id integer NOT NULL,
	address_id integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX idx_unq_manager_staff_id ON store (manager_staff_id);

CREATE TABLE staff (
	staff_id serial PRIMARY KEY,
	first_name text NOT NULL,
	last_name text NOT NULL,
	address_id integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	email text,
	store_id integer NOT NULL REFERENCES store,
	active boolean NOT NULL DEFAULT true,
	username text NOT NULL,
	password text,
	last_update timestamptz NOT NULL DEFAULT now(),
	picture bytea);
ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE customer (
	customer_id serial PRIMARY KEY,
	store_id integer NOT NULL REFERENCES store ON UPDATE CASCADE ON DELETE RESTRICT,
	first_name text NOT NULL,
	last_name text NOT NULL,
	email text,
	address_id integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	activebool boolean NOT NULL DEFAULT true,
	create_date date NOT NULL DEFAULT CURRENT_DATE,
	last_update timestamptz DEFAULT now(),
	active integer);
CREATE INDEX idx_fk_address_id ON customer (address_id);
CREATE INDEX idx_fk_store_id ON customer (store_id);
CREATE INDEX idx_last_name ON customer (last_name);

CREATE TABLE inventory (
	inventory_id serial PRIMARY KEY,
	film_id integer NOT NULL REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT,
	store_id integer NOT NULL REFERENCES store ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_store_id_film_id ON inventory (store_id, film_id);

CREATE TABLE rental (
	rental_id serial PRIMARY KEY,
	rental_date timestamptz NOT NULL,
	inventory_id integer NOT NULL REFERENCES inventory ON UPDATE CASCADE ON DELETE RESTRICT,
	customer_id integer NOT NULL REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
	return_date timestamptz,
	staff_id integer NOT NULL REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX idx_unq_rental_rental_date_inventory_id_customer_id ON rental (rental_date, inventory_id, customer_id);
CREATE INDEX idx_fk_inventory_id ON rental (inventory_id);

-- Indexes and foreign keys belong to each partition alone, as in pagila, but for the rental's index.
CREATE TABLE payment (
	payment_id serial,
	customer_id integer NOT NULL,
	staff_id integer NOT NULL,
	rental_id integer NOT NULL,
	amount numeric(5,2) NOT NULL,
	payment_date timestamptz NOT NULL,
	note text CHECK (note <> ''),
	PRIMARY KEY (payment_date, payment_id)) PARTITION BY RANGE (payment_date);
CREATE TABLE payment_p2007_01 PARTITION OF payment FOR VALUES FROM ('2007-01-01 00:00+00') TO ('2007-02-01 00:00+00');
CREATE TABLE payment_p2007_02 PARTITION OF payment FOR VALUES FROM ('2007-02-01 00:00+00') TO ('2007-03-01 00:00+00');
CREATE TABLE payment_p2007_03 PARTITION OF payment FOR VALUES FROM ('2007-03-01 00:00+00') TO ('2007-04-01 00:00+00');
CREATE INDEX idx_fk_rental_id ON payment (rental_id);
DO $$
DECLARE part text;
BEGIN
	FOREACH part IN ARRAY ARRAY['payment_p2007_01', 'payment_p2007_02', 'payment_p2007_03'] LOOP
		EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (customer_id) REFERENCES customer, ADD FOREIGN KEY (staff_id) REFERENCES staff,
			ADD FOREIGN KEY (rental_id) REFERENCES rental', part);
		EXECUTE format('CREATE INDEX ON %I (customer_id)', part);
		EXECUTE format('CREATE INDEX ON %I (staff_id)', part);
	END LOOP;
END $$;

CREATE VIEW actor_info AS
	SELECT a.actor_id, a.first_name, a.last_name, group_concat(DISTINCT c.name || ': ' || f.title) AS film_info
	FROM actor a LEFT JOIN film_actor fa ON fa.actor_id = a.actor_id LEFT JOIN film f ON f.film_id = fa.film_id
	LEFT JOIN film_category fc ON fc.film_id = f.film_id LEFT JOIN category c ON c.category_id = fc.category_id
	GROUP BY a.actor_id, a.first_name, a.last_name;

CREATE VIEW customer_list AS
	SELECT cu.customer_id AS id, cu.first_name || ' ' || cu.last_name AS name, a.address, a.postal_code AS "zip code", a.phone, ci.city, co.country,
	       CASE WHEN cu.activebool THEN 'active' ELSE '' END AS notes, cu.store_id AS sid
	FROM customer cu JOIN address a ON a.address_id = cu.address_id JOIN city ci ON ci.city_id = a.city_id JOIN country co ON co.country_id = ci.country_id;

CREATE VIEW film_list AS
	SELECT f.film_id AS fid, f.title, f.description, c.name AS category, f.rental_rate AS price, f.length, f.rating,
	       group_concat(a.first_name || ' ' || a.last_name) AS actors
	FROM film f LEFT JOIN film_category fc ON fc.film_id = f.film_id LEFT JOIN category c ON c.category_id = fc.category_id
	LEFT JOIN film_actor fa ON fa.film_id = f.film_id LEFT JOIN actor a ON a.actor_id = fa.actor_id
	GROUP BY f.film_id, f.title, f.description, c.name, f.rental_rate, f.length, f.rating;

CREATE VIEW sales_by_film_category AS
	SELECT c.name AS category, sum(p.amount) AS total_sales
	FROM payment p JOIN rental r ON r.rental_id = p.rental_id JOIN inventory i ON i.inventory_id = r.inventory_id
	JOIN film_category fc ON fc.film_id = i.film_id JOIN category c ON c.category_id = fc.category_id
	GROUP BY c.name ORDER BY sum(p.amount) DESC;

CREATE VIEW sales_by_store AS
	SELECT ci.city || ',' || co.country AS store, m.first_name || ' ' || m.last_name AS manager, sum(p.amount) AS total_sales
	FROM payment p JOIN rental r ON r.rental_id = p.rental_id JOIN inventory i ON i.inventory_id = r.inventory_id
	JOIN store s ON s.store_id = i.store_id JOIN address a ON a.address_id = s.address_id JOIN city ci ON ci.city_id = a.city_id
	JOIN country co ON co.country_id = ci.country_id JOIN staff m ON m.staff_id = s.manager_staff_id
	GROUP BY co.country, ci.city, s.store_id, m.first_name, m.last_name;

CREATE VIEW staff_list AS
	SELECT s.staff_id AS id, s.first_name || ' ' || s.last_name AS name, a.address, a.postal_code AS "zip code", a.phone, ci.city, co.country, s.store_id AS sid
	FROM staff s JOIN address a ON a.address_id = s.address_id JOIN city ci ON ci.city_id = a.city_id JOIN country co ON co.country_id = ci.country_id;

CREATE MATERIALIZED VIEW rental_by_category AS
	SELECT c.name AS category, count(*) AS rentals
	FROM rental r JOIN inventory i ON i.inventory_id = r.inventory_id JOIN film_category fc ON fc.film_id = i.film_id
	JOIN category c ON c.category_id = fc.category_id GROUP BY c.name;
CREATE UNIQUE INDEX rental_category ON rental_by_category (category);

CREATE FUNCTION inventory_in_stock(p_inventory_id integer) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT NOT EXISTS (SELECT FROM rental WHERE inventory_id = p_inventory_id AND return_date IS NULL) $$;

CREATE FUNCTION inventory_held_by_customer(p_inventory_id integer) RETURNS integer LANGUAGE sql STABLE AS $$
	SELECT customer_id FROM rental WHERE inventory_id = p_inventory_id AND return_date IS NULL $$;

CREATE FUNCTION film_in_stock(p_film_id integer, p_store_id integer) RETURNS SETOF integer LANGUAGE sql STABLE AS $$
	SELECT inventory_id FROM inventory WHERE film_id = p_film_id AND store_id = p_store_id AND inventory_in_stock(inventory_id) $$;

CREATE FUNCTION get_customer_balance(p_customer_id integer, p_effective_date timestamptz) RETURNS numeric LANGUAGE plpgsql STABLE AS $$
DECLARE
	owed numeric;
	paid numeric;
BEGIN
	SELECT coalesce(sum(f.rental_rate), 0) INTO owed FROM rental r JOIN inventory i ON i.inventory_id = r.inventory_id JOIN film f ON f.film_id = i.film_id
	WHERE r.customer_id = p_customer_id AND r.rental_date <= p_effective_date;
	SELECT coalesce(sum(p.amount), 0) INTO paid FROM payment p WHERE p.customer_id = p_customer_id AND p.payment_date <= p_effective_date;
	RETURN owed - paid;
END $$;

-- Every table but payment says when a row was changed last.
DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['actor', 'address', 'category', 'city', 'country', 'customer', 'film', 'film_actor', 'film_category', 'inventory', 'language',
		'rental', 'staff', 'store'] LOOP
		EXECUTE format('CREATE TRIGGER last_updated BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION last_updated()', t);
	END LOOP;
END $$;

BEGIN;
INSERT INTO actor (first_name, last_name) VALUES ('Ada', 'Amber'), ('Bo', 'Birch'), ('Cy', 'Cedar');
INSERT INTO category (name) VALUES ('Comedy'), ('Drama');
INSERT INTO language (name) VALUES ('English'), ('Deutsch');
INSERT INTO country (country) VALUES ('Austria'), ('Kenya');
INSERT INTO city (city, country_id) VALUES ('Graz', 1), ('Kisumu', 2);
INSERT INTO address (address, address2, district, city_id, postal_code, phone) VALUES
	('1 First Street', NULL, 'North', 1, '8010', '1'), ('2 Second Street', 'rear', 'South', 2, NULL, '2'), ('3 Third Street', '', 'East', 2, '40100', '3');
INSERT INTO film (title, description, release_year, language_id, original_language_id, length, rating, special_features) VALUES
	('Quiet Rivers', 'A ferryman counts boats', 2006, 1, NULL, 86, 'PG', '{Trailers,"Deleted Scenes"}'),
	('Loud Mountains', NULL, 1999, 2, 1, NULL, 'NC-17', NULL),
	('A Third Film', 'Of which little is known', NULL, 1, NULL, 50, DEFAULT, '{}');
INSERT INTO film_actor (actor_id, film_id) VALUES (1, 1), (2, 1), (2, 2), (3, 3);
INSERT INTO film_category (film_id, category_id) VALUES (1, 1), (2, 2), (3, 1);
INSERT INTO store (manager_staff_id, address_id) VALUES (1, 1), (2, 2);
INSERT INTO staff (first_name, last_name, address_id, email, store_id, username, password, picture) VALUES
	('Di', 'Dogwood', 1, 'di@example.org', 1, 'di', 'secret', '\x89504e'), ('Ed', 'Elm', 2, NULL, 2, 'ed', NULL, NULL);
INSERT INTO customer (store_id, first_name, last_name, email, address_id, active) VALUES
	(1, 'Flo', 'Fir', 'flo@example.org', 3, 1), (2, 'Gus', 'Gorse', NULL, 2, 0), (2, 'Hal', 'Hazel', 'hal@example.org', 1, NULL);
INSERT INTO inventory (film_id, store_id) VALUES (1, 1), (1, 2), (2, 2), (3, 1);
INSERT INTO rental (rental_date, inventory_id, customer_id, return_date, staff_id) VALUES
	('2007-01-05 10:00+00', 1, 1, '2007-01-07 10:00+00', 1), ('2007-02-05 10:00+00', 3, 2, NULL, 2), ('2007-03-05 10:00+00', 2, 3, '2007-03-06 10:00+00', 2);
INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date, note) VALUES
	(1, 1, 1, 4.99, '2007-01-07 10:00+00', 'cash'), (2, 2, 2, 2.50, '2007-02-05 10:00+00', NULL), (3, 2, 3, 0.99, '2007-03-06 10:00+00', NULL);
COMMIT;
REFRESH MATERIALIZED VIEW rental_by_category;
ANALYZE;
