-- Retention: timers of single messages, policies set by an administrator, old state, media that goes with what shows it.

ALTER TABLE events ADD COLUMN self_destruct_ts bigint;
CREATE INDEX events_self_destruct ON events (self_destruct_ts) WHERE self_destruct_ts IS NOT NULL;

-- State events that are no longer current and still whole, so that the sweeper finds those that are due without looking at
-- the state that stands. A row goes when the event has been pruned.
CREATE TABLE superseded_state (
  event_number  bigint PRIMARY KEY REFERENCES events ON DELETE CASCADE,
  room_number   integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  age_ts        bigint NOT NULL
);
CREATE INDEX superseded_state_age ON superseded_state (room_number, age_ts);
INSERT INTO superseded_state (event_number, room_number, age_ts)
  SELECT event_number, room_number, age_ts FROM events e
  WHERE position IS NOT NULL AND state_key_number IS NOT NULL AND flags = 0
    AND NOT EXISTS (SELECT FROM current_state c WHERE c.event_number = e.event_number);

-- NULL: no such bound. A row with two of them says that messages live as long as the room.
CREATE TABLE retention_overrides (
  room_number   integer PRIMARY KEY REFERENCES rooms ON DELETE CASCADE,
  max_lifetime  bigint CHECK (max_lifetime > 0),
  min_lifetime  bigint CHECK (min_lifetime > 0),
  CHECK (min_lifetime <= max_lifetime)
);

-- What shows media: an event that can be read here, or a field of a user's profile.
CREATE TABLE media_references (
  reference_number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  media_id          text COLLATE "C" NOT NULL REFERENCES media ON DELETE CASCADE,
  event_number      bigint REFERENCES events ON DELETE CASCADE,
  user_number       integer,
  profile_key       text COLLATE "C",
  FOREIGN KEY (user_number, profile_key) REFERENCES profiles ON DELETE CASCADE,
  CHECK (num_nonnulls(event_number, user_number) = 1 AND (user_number IS NULL) = (profile_key IS NULL))
);
CREATE INDEX media_references_media ON media_references (media_id);
CREATE INDEX media_references_event ON media_references (event_number) WHERE event_number IS NOT NULL;
CREATE INDEX media_references_profile ON media_references (user_number, profile_key) WHERE user_number IS NOT NULL;

ALTER TABLE media ADD COLUMN is_held boolean NOT NULL DEFAULT false;
-- Uploads that nothing shows: what a lifetime of uploads is about.
CREATE INDEX media_loose ON media (created_ts) WHERE NOT is_held AND file_name IS NOT NULL;

-- Whatever deletes a reference (an expired or redacted message, another avatar, a closed account, a deleted room), the media
-- goes with the last one: it is void from that very transaction on, and the sweeper deletes it.
CREATE FUNCTION hold_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE media SET is_held = true, expires_ts = CASE WHEN file_name IS NULL THEN expires_ts END
    WHERE media_id = NEW.media_id AND (NOT is_held OR expires_ts IS NOT NULL AND file_name IS NOT NULL);
  ELSE
    UPDATE media SET is_held = false, expires_ts = 0
    WHERE media_id = OLD.media_id
      AND NOT EXISTS (SELECT FROM media_references r WHERE r.media_id = OLD.media_id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER media_held AFTER INSERT OR DELETE ON media_references
  FOR EACH ROW EXECUTE FUNCTION hold_media();

INSERT INTO media_references (media_id, user_number, profile_key)
  SELECT m.media_id, p.user_number, p.key FROM profiles p JOIN media m USING (user_number) CROSS JOIN server s
  WHERE p.key = 'avatar_url' AND p.value = '"mxc://' || s.server_name || '/' || m.media_id || '"';

-- Devices by the day they were last seen on, invitations and departures: how the sweeper finds those that were left lying.
CREATE INDEX devices_last_seen ON devices (last_seen_on);
CREATE INDEX memberships_invited ON memberships (event_number) WHERE membership = 'invite';
CREATE INDEX memberships_forgotten ON memberships (room_number) WHERE is_forgotten;

-- What the sweeper last did, for operators: one row.
CREATE TABLE sweeps (
  only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  -- The last one that began, and the last one that came to its end.
  started_ts   bigint,
  ended_ts     bigint,
  duration_ms  bigint,
  -- How many things of each kind it deleted: a JSON object.
  deleted      text NOT NULL DEFAULT '{}'
);
INSERT INTO sweeps DEFAULT VALUES;
