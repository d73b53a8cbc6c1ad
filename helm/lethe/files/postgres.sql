-- Run once by the official image, when its volume is new: a role for Lethe that owns its database and may do nothing else.
\getenv role LETHE_ROLE
\getenv name LETHE_DATABASE
\set password `cat "$LETHE_PASSWORD_FILE"`
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"role" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
-- The superuser comes in from inside the container alone.
ALTER ROLE CURRENT_USER PASSWORD NULL;
