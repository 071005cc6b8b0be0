package query_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/internal/query"
)

var rules = map[query.Rule]string{
	query.Star: "star", query.Returning: "returning", query.Insert: "insert", query.CopyIn: "copy from", query.CopyOut: "copy to", query.Named: "named",
}

// found is each finding in a line: the rule, the text, and the tables.
func found(text string, columns ...query.Column) []string {
	var out []string
	for _, f := range query.Examine(text, columns) {
		var tables []string
		for _, t := range f.Tables {
			name := t.String()
			if t.Open {
				name = "?"
			}
			tables = append(tables, name)
		}
		out = append(out, fmt.Sprintf("%s %q of %s", rules[f.Rule], text[f.Start:f.End], strings.Join(tables, ",")))
	}
	return out
}

// In a text, ~ stands for what is known only at run time.
func TestExamine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		// stars
		`SELECT * FROM users`:                                           {`star "*" of users`},
		`select*from public."Users"`:                                    {`star "*" of public.Users`},
		"-- name: All :many\nSELECT * FROM users":                       {`star "*" of users`},
		`/* a */ (SELECT ALL * FROM users)`:                             {`star "*" of users`},
		`SELECT DISTINCT ON (id, (a)) *, 1 FROM users`:                  {`star "*" of users`},
		`SELECT 1, u.* FROM users AS u`:                                 {`star "u.*" of users`},
		`SELECT public.users.* FROM public.users`:                       {`star "public.users.*" of public.users`},
		`SELECT u.*, o.id FROM users u, orders o`:                       {`star "u.*" of users`},
		`SELECT * FROM users u JOIN orders o ON u.id=o.u`:               {`star "*" of users,orders`},
		`SELECT * FROM (users u JOIN a USING (id)), b`:                  {`star "*" of users,a,b`},
		`SELECT * FROM ONLY users * WHERE id = ANY ($1)`:                {`star "*" of users`},
		`SELECT id FROM a UNION ALL SELECT * FROM b`:                    {`star "*" of b`},
		`SELECT id FROM a EXCEPT (TABLE b)`:                             {`star "TABLE" of b`},
		`SELECT x FROM (SELECT * FROM users) s`:                         {`star "*" of users`},
		`SELECT * FROM (SELECT id FROM users) s`:                        nil,
		`SELECT * FROM ((SELECT * FROM a) UNION (SELECT * FROM b)) s`:   {`star "*" of a`, `star "*" of b`},
		`SELECT * FROM ((SELECT id FROM a) x JOIN b ON true)`:           {`star "*" of b`},
		`WITH w AS (SELECT * FROM users) SELECT * FROM w`:               {`star "*" of users`},
		`WITH users AS (SELECT * FROM users) SELECT users.* FROM users`: {`star "*" of users`},
		`WITH RECURSIVE w(a) AS (SELECT 1 UNION SELECT a FROM w), v AS MATERIALIZED (SELECT 2) SELECT w.*, v.*, t.* FROM w, v, t`: {`star "t.*" of t`},
		`WITH w AS (INSERT INTO a (b) VALUES (1) RETURNING *) SELECT c FROM w`:                                                    {`returning "*" of a`},
		`WITH s AS (SELECT 1) INSERT INTO a SELECT * FROM s`:                                                                      {`insert "a" of a`},
		`SELECT count(*), count( * ) FROM users`:                                                                                  nil,
		`SELECT 2*3, a * b, (a)*(b), $1*2, 'x'*y, -1 * a FROM users`:                                                              nil,
		`SELECT row_to_json(u.*), (u).* FROM users u`:                                                                             nil,
		`SELECT id FROM a WHERE EXISTS (SELECT * FROM users)`:                                                                     nil,
		`SELECT id FROM a WHERE NOT EXISTS ((SELECT u.* FROM users u))`:                                                           nil,
		`SELECT id FROM a WHERE b IN (SELECT * FROM users)`:                                                                       {`star "*" of users`},
		`SELECT id, (SELECT max(x) FROM (SELECT * FROM b) c) FROM a`:                                                              {`star "*" of b`},
		`SELECT * FROM generate_series(1, 2) g, unnest($1) WITH ORDINALITY AS u(a, b)`:                                            nil,
		`SELECT * FROM ROWS FROM (f(1), g(2)) x`:                                                                                  nil,
		`SELECT * FROM LATERAL f(1) AS (a int), b`:                                                                                {`star "*" of b`},
		`SELECT * FROM pg_stat_activity a, information_schema.tables, pg_catalog.x`:                                               nil,
		`SELECT a.* FROM pg_attribute a`:                                                                                          nil,
		`SELECT a IS DISTINCT FROM b, * FROM c`:                                                                                   {`star "*" of c`},
		`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), c.* FROM c`:                                                       {`star "c.*" of c`},
		`SELECT a AS from, * FROM c`:                                                                                              {`star "*" of c`},
		`SELECT extract(epoch FROM d), * FROM c`:                                                                                  {`star "*" of c`},
		`SELECT o.id, (SELECT o.* FROM x) FROM orders o`:                                                                          {`star "o.*" of orders`},
		`SELECT id FROM users FOR UPDATE OF users`:                                                                                nil,
		`SELECT E'\' FROM a', * FROM c`:                                                                                           {`star "*" of c`},
		`SELECT $$ SELECT * FROM a $$, 'SELECT * FROM b' /* * */ FROM c`:                                                          nil,
		`SELECT 1; SELECT * FROM users;`:                                                                                          {`star "*" of users`},
		`SELECT 1; CREATE VIEW v AS SELECT * FROM users`:                                                                          nil,
		`BEGIN; SELECT * FROM users`:                                                                                              nil,
		`SELECT * is no good`:                                                                                                     nil,
		`Select users.* without a list`:                                                                                           nil,
		`Select one of these * or that`:                                                                                           nil,

		// what is known at run time
		`SELECT *`:                          {`star "*" of ?`},
		`SELECT * ~`:                        {`star "*" of ?`},
		`SELECT ~* FROM users`:              {`star "*" of users`},
		`SELECT a *`:                        nil,
		`SELECT * FROM`:                     {`star "*" of ?`},
		`SELECT * FROM ~ WHERE a`:           {`star "*" of ?`},
		`SELECT * FROM app.users_~`:         {`star "*" of ?`},
		`SELECT * FROM ~.users`:             {`star "*" of users`},
		`SELECT * FROM {{.Table}} t`:        {`star "*" of ?`},
		`SELECT * FROM (~) s`:               nil,
		`SELECT * FROM users ~`:             {`star "*" of users`},
		`SELECT u.*, 1`:                     {`star "u.*" of ?`},
		`SELECT u.* FROM a ~`:               {`star "u.*" of ?`},
		`SELECT u.* FROM a`:                 nil,
		`SELECT ~ FROM a RETURNING *`:       nil,
		`SELECT '~ * FROM users`:            nil,
		`INSERT INTO ~ VALUES ($1)`:         {`insert "~" of ?`},
		`INSERT INTO users ~ VALUES ($1)`:   nil,
		`INSERT INTO users (~) VALUES ($1)`: nil,
		`INSERT INTO users`:                 nil,
		`INSERT INTO`:                       nil,
		`INSERT INTO users ~ RETURNING *`:   {`returning "*" of users`},
		`UPDATE ~ SET ~ RETURNING *`:        {`returning "*" of ?`},
		`COPY ~ FROM STDIN`:                 {`copy from "~" of ?`},
		`COPY users ~ FROM STDIN`:           nil,

		// writes
		`INSERT INTO users VALUES (1)`:                               {`insert "users" of users`},
		`INSERT INTO app.users AS u VALUES (:a, ?)`:                  {`insert "app.users" of app.users`},
		`INSERT INTO users OVERRIDING SYSTEM VALUE VALUES (1)`:       {`insert "users" of users`},
		`INSERT INTO users SELECT a FROM b`:                          {`insert "users" of users`},
		`INSERT INTO users (SELECT * FROM b)`:                        {`insert "users" of users`, `star "*" of b`},
		`INSERT INTO users WITH w AS (SELECT 1) SELECT a FROM w`:     {`insert "users" of users`},
		`INSERT INTO users TABLE b`:                                  {`insert "users" of users`, `star "TABLE" of b`},
		`INSERT INTO users (a) TABLE b`:                              {`star "TABLE" of b`},
		`INSERT INTO users DEFAULT VALUES`:                           nil,
		`INSERT INTO users (a, b) VALUES (1, 2)`:                     nil,
		`INSERT INTO users(a) OVERRIDING USER VALUE SELECT * FROM b`: {`star "*" of b`},
		`INSERT INTO users (a) SELECT b FROM c ON CONFLICT (a) DO UPDATE SET a = (SELECT * FROM d) RETURNING users.*, 1`: {`star "*" of d`, `returning "users.*" of users`},
		`INSERT INTO users (a) VALUES (1) RETURNING id, a * 2`:                                                           nil,
		`UPDATE users u SET a = b.c FROM b WHERE b.id = u.id RETURNING *`:                                                {`returning "*" of users,b`},
		`UPDATE ONLY users SET a = (SELECT b.* FROM b) RETURNING new.*`:                                                  {`star "b.*" of b`, `returning "new.*" of users`},
		`UPDATE users SET a = 1 RETURNING WITH (OLD AS o, NEW AS n) o.*, n.a, *`:                                         {`returning "o.*" of users`, `returning "*" of users`},
		`DELETE FROM users USING b, (SELECT * FROM c) d WHERE true RETURNING b.*`:                                        {`star "*" of c`, `returning "b.*" of b`},
		`DELETE FROM users WHERE id IN (SELECT id FROM b) RETURNING *`:                                                   {`returning "*" of users`},
		`MERGE INTO users u USING (SELECT * FROM b) s ON CASE WHEN true THEN u.id = s.id END WHEN NOT MATCHED THEN INSERT VALUES (1) WHEN MATCHED THEN UPDATE SET a = 1, b = 2 RETURNING u.*`: {
			`star "*" of b`, `insert "INSERT" of users`, `returning "u.*" of users`},
		`MERGE INTO users u USING b ON true WHEN NOT MATCHED THEN INSERT (a) VALUES (1)`: nil,
		`COPY users FROM STDIN WITH (FORMAT csv)`:                                        {`copy from "users" of users`},
		`copy app."Users" from stdin`:                                                    {`copy from "app.\"Users\"" of app.Users`},
		`COPY users (id, name) FROM STDIN`:                                               nil,
		`COPY users TO STDOUT`:                                                           {`copy to "users" of users`},
		`COPY (SELECT * FROM users) TO STDOUT`:                                           {`star "*" of users`},
		`COPY that, over`:                                                                nil,
		`insert into the box`:                                                            nil,
		`update on this * and more`:                                                      nil,
	} {
		text = strings.ReplaceAll(text, "~", "\x00")
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "~", `\x00`)
		}
		require.Equal(t, want, found(text), "%q", text)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	column := query.Column{Table: query.Table{Schema: "public", Name: "users"}, Name: "user_name"}
	for text, want := range map[string]string{
		`SELECT user_name FROM users`:                                                                                                `users`,
		`SELECT u.USER_NAME, 1 FROM public.users u`:                                                                                  `public.users`,
		`SELECT "user_name" FROM users`:                                                                                              `users`,
		`SELECT DISTINCT ON (id) user_name FROM users`:                                                                               `users`,
		`SELECT public.users.user_name FROM users`:                                                                                   `users`,
		`SELECT full_name AS user_name FROM users`:                                                                                   ``,
		`SELECT full_name user_name FROM users`:                                                                                      ``,
		`SELECT 'x' user_name, lower(x) user_name FROM users`:                                                                        ``,
		`SELECT "USER_NAME", 'user_name', :user_name, {user_name} FROM users`:                                                        ``,
		`SELECT user_name FROM app.users`:                                                                                            ``,
		`SELECT user_name FROM people`:                                                                                               ``,
		`SELECT user_name(id), user_name.id FROM users`:                                                                              ``,
		`SELECT p.user_name, u.id FROM users u, people p`:                                                                            ``,
		`SELECT id FROM people p WHERE EXISTS (SELECT FROM users WHERE p.user_name = full_name)`:                                     ``,
		`SELECT id FROM people p WHERE EXISTS (SELECT FROM users u WHERE p.x = u.user_name)`:                                         `users`,
		`SELECT id FROM users WHERE id IN (SELECT o FROM b WHERE user_name = 'x')`:                                                   `users`,
		`SELECT user_name FROM (SELECT full_name AS user_name FROM users) s`:                                                         ``,
		`WITH w(user_name) AS (SELECT full_name FROM users) SELECT user_name FROM w`:                                                 ``,
		`SELECT x.user_name FROM users, f() AS x(user_name)`:                                                                         ``,
		`SELECT id FROM users ORDER BY user_name`:                                                                                    `users`,
		`SELECT id FROM users GROUP BY id, user_name HAVING user_name > ''`:                                                          `users users`,
		`SELECT id FROM a UNION SELECT user_name FROM users`:                                                                         `users`,
		`INSERT INTO users (id, user_name) SELECT id, user_name FROM people`:                                                         `users`,
		`INSERT INTO users (id) VALUES (1) ON CONFLICT (user_name) DO UPDATE SET user_name = EXCLUDED.user_name RETURNING user_name`: `users users users users`,
		`UPDATE users SET user_name = $1`:                                                                                            `users`,
		`UPDATE people SET user_name = u.id FROM users u WHERE u.user_name = people.user_name`:                                       `users users`,
		`DELETE FROM people USING users u WHERE u.user_name = people.x`:                                                              `users`,
		`MERGE INTO users u USING b s ON true WHEN NOT MATCHED THEN INSERT (user_name) VALUES (s.user_name)`:                         `users`,
		`COPY users (id, user_name) FROM STDIN`:                                                                                      `users`,
		`COPY people (id, user_name) FROM STDIN`:                                                                                     ``,
		`SELECT user_name FROM ~`:                                                                                                    `?`,
		`SELECT ~ user_name FROM users`:                                                                                              `users`,
		`SELECT x.user_name FROM ~`:                                                                                                  `?`,
		`SELECT x.user_name FROM people`:                                                                                             ``,
		`SELECT user_name, `:                                                                                                         `?`,
	} {
		var tables []string
		for _, f := range query.Examine(strings.ReplaceAll(text, "~", "\x00"), []query.Column{column}) {
			require.Equal(t, query.Named, f.Rule, text)
			require.Equal(t, column, f.Column)
			name := f.Tables[0].String()
			if f.Tables[0].Open {
				name = "?"
			}
			tables = append(tables, name)
		}
		require.Equal(t, want, strings.Join(tables, " "), "%q", text)
	}
}

// Whatever the text: no panic, an end, and findings that are in it and in order.
func TestExamineAnything(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom(strings.Fields(`SELECT INSERT UPDATE DELETE WITH COPY MERGE INTO FROM USING SET VALUES RETURNING ON CONFLICT WHEN AS RECURSIVE EXISTS
		DISTINCT UNION JOIN ONLY LATERAL ROWS TABLE ORDER BY WHERE INSERT ( ( ( ) ) ) , . * ; users u a "b" 'c' 1 $1 :n {x} ~ old`))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(strings.Join(rapid.SliceOfN(pieces, 0, 40).Draw(t, "pieces"), " "), "~", "\x00")
		last := 0
		for _, f := range query.Examine(text, []query.Column{{Table: query.Table{Name: "users"}, Name: "a"}}) {
			require.LessOrEqual(t, last, f.Start)
			require.Less(t, f.Start, f.End)
			require.LessOrEqual(t, f.End, len(text))
			require.NotEmpty(t, f.Tables)
			last = f.Start
		}
	})
}
