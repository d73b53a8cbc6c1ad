-- True from when the database was found to be older than its keyring, which means that it was set back to a copy of itself,
-- until what the keyring cannot open any more has been deleted from it.
ALTER TABLE server ADD COLUMN is_set_back boolean NOT NULL DEFAULT false;

-- Lets "lethe doctor" look at the way from the outside to this server: for minutes, and whoever knows the secret can do no more
-- than be told how their own requests arrive.
CREATE TABLE doctor_probes (
  secret_hash  bytea PRIMARY KEY CHECK (octet_length(secret_hash) = 32),
  expires_ts   bigint NOT NULL
);
