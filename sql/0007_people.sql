-- Sign-ins to the pages for people. They are not devices: nothing is sent to them and nobody sees them.
CREATE TABLE page_sessions (
  -- SHA-256 of what the browser's cookie holds.
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  user_number integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
  expires_ts bigint NOT NULL
);
CREATE INDEX page_sessions_user ON page_sessions (user_number);
CREATE INDEX page_sessions_expires ON page_sessions (expires_ts);

-- Accounts that are being erased, and the receipts of those that are, until their owners have fetched them.
CREATE TABLE erasures (
  user_number integer PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  -- SHA-256 of the token that the receipt is fetched with.
  receipt_hash bytea NOT NULL UNIQUE CHECK (octet_length(receipt_hash) = 32),
  asked_on date NOT NULL,
  finished_on date,
  -- How far the walk through the rooms has come: the last room, and the last position in the next.
  room_number integer NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT -9007199254740991,
  -- JSON: how many rows of which table were erased, pruned and kept.
  counts text NOT NULL,
  -- A receipt that nobody has fetched is deleted then.
  expires_ts bigint NOT NULL
);
