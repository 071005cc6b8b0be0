-- The table as expand.Apply leaves it. After the drop the first and the last column of the pair go.
CREATE TABLE users (
    id              bigint PRIMARY KEY,
    user_name       text NOT NULL,
    email           text NOT NULL DEFAULT '',
    full_name       text,
    full_name_stamp integer
);
