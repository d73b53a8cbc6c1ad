-- What lets people back in who have lost their password, in place of an e-mail address.

-- At most one for each account. The code itself is shown once and not kept.
CREATE TABLE recovery_codes (
  user_number  integer PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
  -- SHA-256. The code has more than 128 random bits, so that nobody can find it by trying.
  code_hash    bytea NOT NULL CHECK (octet_length(code_hash) = 32)
);
