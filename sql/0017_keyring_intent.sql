-- What the keyring is about to be written as (its checksum), noted before that is done: a process that dies after it and before the
-- database has heard of it leaves a keyring that is newer than the database, although nobody has set that back.
ALTER TABLE server
  ADD COLUMN keyring_intent bytea CHECK (octet_length(keyring_intent) = 32),
  -- Which keys new values are sealed under, counted by the rotations; null until the keyring is written next.
  ADD COLUMN keyring_generation smallint;
