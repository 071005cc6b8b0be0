-- A write for each set of columns that a phase writes. Of the four the last one stays when the migration is over.

-- name: SaveOld :exec
INSERT INTO users (id, email, user_name) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, user_name = EXCLUDED.user_name;

-- name: SaveBoth :exec
INSERT INTO users (id, email, user_name, full_name, full_name_stamp) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, user_name = EXCLUDED.user_name, full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp;

-- name: SaveNew :exec
INSERT INTO users (id, email, full_name, full_name_stamp) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp;

-- name: Save :exec
INSERT INTO users (id, email, full_name) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, full_name = EXCLUDED.full_name;

-- A read of all three columns while they exist, by the column that the phase filters by, and one of the end.

-- name: FindByOld :one
SELECT id, user_name, email, full_name, full_name_stamp FROM users WHERE user_name = $1;

-- name: FindByNew :one
SELECT id, user_name, email, full_name, full_name_stamp FROM users WHERE full_name = $1;

-- name: Find :one
SELECT id, email, full_name FROM users WHERE full_name = $1;
