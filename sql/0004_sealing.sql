-- Sealing: what people said and keep is encrypted under keys that lie outside the database, and can be destroyed one by one.
--
-- A sealed value is bytes: one that says how it is kept (0: as it is, 1: sealed), then, if it is sealed, the generation of
-- the keyring, the bucket (3 bytes) and the leaf (5 bytes) of its key, 12 bytes of initialisation vector, and the packed text
-- with its tag under AES-256-GCM. What stood here before becomes a value of the first form.

ALTER TABLE server
  ADD COLUMN keyring_id text COLLATE "C",
  ADD COLUMN keyring_serial bigint NOT NULL DEFAULT 0,
  ADD COLUMN next_chunk bigint NOT NULL DEFAULT 0;

-- Keys of values that are gone from the tables and may stand in older copies of them: to be destroyed.
CREATE TABLE dead_seals (
  seal  bytea PRIMARY KEY CHECK (octet_length(seal) = 10)
);

CREATE FUNCTION kept_as_it_is(value text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT '\x00'::bytea || convert_to(value, 'UTF8') $$;

ALTER TABLE events
  ALTER COLUMN body TYPE bytea USING kept_as_it_is(body),
  -- The hour in which the key of the body dies; NULL if it lives until it is destroyed.
  ADD COLUMN seal_bucket integer,
  -- Of a state event: its redacted form, under a key of its own. A copy of the database in which the event is still part of
  -- its room's state can be read without what the event said.
  ADD COLUMN pruned bytea;
CREATE INDEX events_seal_bucket ON events (seal_bucket) WHERE seal_bucket IS NOT NULL;

-- Markers stand on events by their numbers: what they say is sealed.
DROP INDEX account_data_fully_read;
ALTER TABLE account_data
  ALTER COLUMN content TYPE bytea USING kept_as_it_is(content),
  ADD COLUMN event_number bigint;
UPDATE account_data a SET event_number = e.event_number FROM events e
  WHERE a.type = 'm.fully_read' AND e.room_number = a.room_number
    AND e.event_id = (convert_from(substring(a.content FROM 2), 'UTF8')::json ->> 'event_id');
CREATE INDEX account_data_event ON account_data (event_number) WHERE event_number IS NOT NULL;

ALTER TABLE profiles ALTER COLUMN value TYPE bytea USING kept_as_it_is(value);
ALTER TABLE filters ALTER COLUMN body TYPE bytea USING kept_as_it_is(body);
ALTER TABLE devices ALTER COLUMN display_name TYPE bytea USING kept_as_it_is(display_name);
ALTER TABLE memberships ALTER COLUMN stripped_state TYPE bytea USING kept_as_it_is(stripped_state);
ALTER TABLE to_device_messages ALTER COLUMN content TYPE bytea USING kept_as_it_is(content);

DROP FUNCTION kept_as_it_is(text);
