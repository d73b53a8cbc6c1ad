-- From now on the keyring tells erased accounts from those that were only closed: erasing destroys a marker of the account (see
-- `erasurePlace`) besides its key. For accounts that were erased before, it is destroyed with the next sweep: a seal of the form 1,
-- whose generation does not matter, in the bucket fffffd, whose leaf is the user's number.
INSERT INTO dead_seals
  SELECT '\x0100fffffd'::bytea || substring(int8send(user_number) FROM 4) FROM accounts WHERE is_erased
  ON CONFLICT DO NOTHING;
