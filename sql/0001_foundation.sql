-- The foundation: the server, the log, rooms and their events, people and their devices, keys, media.
--
-- Conventions. Rooms, events, users, event types and state keys have numbers; the identifiers stand once, in the table that
-- hands the number out, so that the big tables and their indexes hold no long strings. Identifiers and everything compared
-- byte by byte is COLLATE "C": any locale of the database will do. Times are milliseconds since the epoch (`…_ts`) where the
-- protocol needs them and dates (`…_on`) where a day is enough. JSON is stored as text: jsonb rewrites numbers and refuses
-- NUL. What each column is for, whose it is and how long it lives stands in src/privacy/inventory.ts.

CREATE TABLE server (
  only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  server_name  text COLLATE "C" NOT NULL,
  epoch        text COLLATE "C" NOT NULL,
  created_on   date NOT NULL DEFAULT current_date
);

-- The log ----------------------------------------------------------------------------------------------------------------

-- One row: the newest position of the log. Its row lock makes the order of positions the order of commits.
CREATE TABLE log_head (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  position  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO log_head DEFAULT VALUES;

-- What happened at each position; the thing itself stands in the table of its kind, under the same position.
CREATE TABLE log (
  position     bigint PRIMARY KEY,
  kind         smallint NOT NULL,
  room_number  integer,
  user_number  integer,
  reference    bigint
);

CREATE INDEX log_not_of_events ON log (position) WHERE kind <> 1;

-- Where the log stood when the sweeper first ran on a day: how it knows the age of positions.
CREATE TABLE log_days (
  day       date PRIMARY KEY,
  position  bigint NOT NULL
);

-- People -----------------------------------------------------------------------------------------------------------------

CREATE TABLE users (
  user_number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id      text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(user_id) <= 255),
  is_local     boolean NOT NULL
);

CREATE TABLE accounts (
  user_number     integer PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  password_hash   text,
  is_admin        boolean NOT NULL DEFAULT false,
  is_guest        boolean NOT NULL DEFAULT false,
  is_locked       boolean NOT NULL DEFAULT false,
  is_suspended    boolean NOT NULL DEFAULT false,
  is_deactivated  boolean NOT NULL DEFAULT false,
  is_erased       boolean NOT NULL DEFAULT false,
  created_on      date NOT NULL DEFAULT current_date,
  CHECK (NOT is_deactivated OR password_hash IS NULL)
);

CREATE TABLE devices (
  user_number   integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
  device_id     text COLLATE "C" NOT NULL CHECK (octet_length(device_id) <= 255),
  display_name  text,
  last_seen_on  date NOT NULL DEFAULT current_date,
  PRIMARY KEY (user_number, device_id)
);

CREATE TABLE access_tokens (
  token_hash    bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  user_number   integer NOT NULL,
  device_id     text COLLATE "C" NOT NULL,
  expires_ts    bigint,
  -- The refresh token that was handed out with it.
  refresh_hash  bytea CHECK (octet_length(refresh_hash) = 32),
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX access_tokens_device ON access_tokens (user_number, device_id);

-- One row for each session that can be refreshed. Every refresh token carries the name of its family, so that one that was
-- replaced is known for what it is, however long ago that was: presenting it is theft and ends the session.
CREATE TABLE refresh_tokens (
  family_hash    bytea PRIMARY KEY CHECK (octet_length(family_hash) = 32),
  user_number    integer NOT NULL,
  device_id      text COLLATE "C" NOT NULL,
  current_hash   bytea NOT NULL CHECK (octet_length(current_hash) = 32),
  -- What the current one replaced, until the current one or its access token is used: the answer may have been lost.
  previous_hash  bytea CHECK (octet_length(previous_hash) = 32),
  expires_ts     bigint NOT NULL,
  UNIQUE (user_number, device_id),
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_ts);

CREATE TABLE login_tokens (
  token_hash   bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  user_number  integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
  expires_ts   bigint NOT NULL
);

-- Uses that are pending are the unexpired interactive_auth_sessions that hold the token.
CREATE TABLE registration_tokens (
  token         text COLLATE "C" PRIMARY KEY CHECK (octet_length(token) <= 64),
  uses_allowed  integer CHECK (uses_allowed >= 0),
  completed     integer NOT NULL DEFAULT 0 CHECK (completed >= 0),
  expires_ts    bigint
);

-- One-use links to /join/<token>: the first, admin, account is made by one.
CREATE TABLE join_links (
  token_hash    bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  is_admin      boolean NOT NULL DEFAULT false,
  uses_allowed  integer NOT NULL DEFAULT 1,
  uses          integer NOT NULL DEFAULT 0,
  expires_ts    bigint NOT NULL
);

-- body_hash is keyed with the session's name, which only its client has: bodies hold passwords, and a plain hash of one
-- could be guessed at.
CREATE TABLE interactive_auth_sessions (
  session_hash  bytea PRIMARY KEY CHECK (octet_length(session_hash) = 32),
  operation     text COLLATE "C" NOT NULL,
  user_number   integer REFERENCES users ON DELETE CASCADE,
  body_hash     bytea NOT NULL CHECK (octet_length(body_hash) = 32),
  completed     text[] COLLATE "C" NOT NULL DEFAULT '{}',
  -- The registration token that the session holds a use of.
  token         text COLLATE "C",
  expires_ts    bigint NOT NULL
);
CREATE INDEX interactive_auth_sessions_token ON interactive_auth_sessions (token) WHERE token IS NOT NULL;
CREATE INDEX interactive_auth_sessions_expires ON interactive_auth_sessions (expires_ts);

-- Values are JSON. Local users' own, and what other servers said of theirs.
CREATE TABLE profiles (
  user_number  integer NOT NULL REFERENCES users ON DELETE CASCADE,
  key          text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 255),
  value        text NOT NULL,
  PRIMARY KEY (user_number, key)
);

CREATE TABLE filters (
  user_number    integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
  filter_number  integer NOT NULL,
  body           text NOT NULL,
  PRIMARY KEY (user_number, filter_number)
);

-- room_number 0: global account data. Push rules are the type m.push_rules, tags the type m.tag of a room.
CREATE TABLE account_data (
  user_number  integer NOT NULL REFERENCES users ON DELETE CASCADE,
  room_number  integer NOT NULL DEFAULT 0,
  type         text COLLATE "C" NOT NULL CHECK (octet_length(type) <= 255),
  content      text NOT NULL,
  position     bigint NOT NULL,
  PRIMARY KEY (user_number, room_number, type)
);
CREATE INDEX account_data_position ON account_data (user_number, position);
-- To find the markers that stand on an event. The server alone writes them, so the same event has the same text.
CREATE INDEX account_data_fully_read ON account_data (room_number, hashtextextended(content, 0)) WHERE type = 'm.fully_read';

-- Rooms and events -------------------------------------------------------------------------------------------------------

CREATE TABLE rooms (
  room_number          integer PRIMARY KEY,
  room_id              text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(room_id) <= 255),
  version              text COLLATE "C" NOT NULL,
  -- Counts the changes of the head; an append names the version it was built on and is refused on another.
  head_version         bigint NOT NULL DEFAULT 0,
  -- The state after the forward extremities, resolved.
  snapshot_number      bigint,
  -- Event numbers.
  forward_extremities  bigint[] NOT NULL DEFAULT '{}',
  depth                bigint NOT NULL DEFAULT 0,
  -- Backfilled events take positions below this, downwards from zero.
  oldest_position      bigint NOT NULL DEFAULT 0,
  is_public            boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Moves the heads of rooms, and refuses if one is not at the version that was expected. Several rows are locked in the order
-- of their numbers, so that two processes cannot wait for each other.
CREATE FUNCTION move_room_heads(numbers integer[], expected bigint[], versions bigint[], snapshots bigint[],
  extremities text[], depths bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  moved integer;
BEGIN
  IF cardinality(numbers) > 1 THEN
    PERFORM 1 FROM rooms WHERE room_number = ANY (numbers) ORDER BY room_number FOR UPDATE;
  END IF;
  UPDATE rooms SET head_version = head.version, snapshot_number = head.snapshot,
    forward_extremities = head.extremities::bigint[], depth = head.depth
  FROM unnest(numbers, expected, versions, snapshots, extremities, depths)
    AS head (number, expected, version, snapshot, extremities, depth)
  WHERE rooms.room_number = head.number AND rooms.head_version = head.expected;
  GET DIAGNOSTICS moved = ROW_COUNT;
  IF moved <> cardinality(numbers) THEN
    RAISE EXCEPTION 'a room has moved' USING ERRCODE = 'LT001';
  END IF;
END $$;

CREATE TABLE event_types (
  type_number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- NUL is written as \0 and a backslash as \\.
  type         text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(type) <= 510)
);

CREATE TABLE state_keys (
  state_key_number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Likewise.
  state_key         text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(state_key) <= 510)
);

-- Numbers for rooms, events and snapshots are handed out in blocks, so that a batch can be written without waiting for them.
CREATE SEQUENCE room_numbers INCREMENT 16 MINVALUE 16;
CREATE SEQUENCE event_numbers INCREMENT 1000 MINVALUE 1000;
CREATE SEQUENCE snapshot_numbers INCREMENT 1000 MINVALUE 1000;

CREATE TABLE events (
  event_number      bigint PRIMARY KEY,
  room_number       integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  -- Above 0: the position in the log. Below 0: backfilled. NULL: an outlier, known but not in the room's timeline.
  position          bigint,
  event_id          text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(event_id) <= 255),
  type_number       integer NOT NULL REFERENCES event_types,
  state_key_number  integer REFERENCES state_keys,
  sender_number     integer NOT NULL REFERENCES users,
  -- 1 rejected, 2 soft-failed, 4 redacted: the body is the pruned form.
  flags             smallint NOT NULL DEFAULT 0,
  depth             bigint NOT NULL,
  origin_server_ts  bigint NOT NULL,
  -- The earlier of the sender's clock and ours: what a lifetime counts from.
  age_ts            bigint NOT NULL,
  -- The room's state after this event. NULL for outliers.
  snapshot_number   bigint,
  -- The redaction that pruned this event.
  redacted_by       bigint,
  -- The PDU as canonical JSON, without `unsigned`.
  body              text NOT NULL
);
CREATE UNIQUE INDEX events_timeline ON events (room_number, position);
CREATE INDEX events_age ON events (room_number, age_ts) WHERE state_key_number IS NULL;
CREATE INDEX events_redacted_by ON events (redacted_by) WHERE redacted_by IS NOT NULL;
-- Few distinct values, inserted in order: B-trees keep them small.
CREATE INDEX events_snapshot ON events (snapshot_number);
ALTER TABLE events ALTER COLUMN body SET STATISTICS 0;

-- A snapshot is either full (no base: `added` is the whole state) or the difference to a full one. Differences are
-- cumulative, so that any state is read from two rows; when one has grown too long the next snapshot is full.
CREATE TABLE state_snapshots (
  snapshot_number  bigint PRIMARY KEY,
  room_number      integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  base_number      bigint REFERENCES state_snapshots,
  added            bigint[] NOT NULL DEFAULT '{}',
  removed          bigint[] NOT NULL DEFAULT '{}'
);
CREATE INDEX state_snapshots_room ON state_snapshots (room_number);
CREATE INDEX state_snapshots_base ON state_snapshots (base_number) WHERE base_number IS NOT NULL;

CREATE TABLE current_state (
  room_number       integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  type_number       integer NOT NULL REFERENCES event_types,
  state_key_number  integer NOT NULL REFERENCES state_keys,
  event_number      bigint NOT NULL REFERENCES events ON DELETE CASCADE,
  PRIMARY KEY (room_number, type_number, state_key_number)
);
CREATE INDEX current_state_event ON current_state (event_number);
CREATE INDEX current_state_type ON current_state (type_number);

-- How a room's current state changed, in log order. A NULL event says that the pair left the state.
CREATE TABLE state_changes (
  room_number       integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  position          bigint NOT NULL,
  type_number       integer NOT NULL REFERENCES event_types,
  state_key_number  integer NOT NULL REFERENCES state_keys,
  event_number      bigint REFERENCES events ON DELETE CASCADE,
  PRIMARY KEY (room_number, position, type_number, state_key_number)
);
CREATE INDEX state_changes_event ON state_changes (event_number);
CREATE INDEX state_changes_pair ON state_changes (room_number, type_number, state_key_number, position);

-- Each user's present membership of each room.
CREATE TABLE memberships (
  room_number   integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  user_number   integer NOT NULL REFERENCES users,
  membership    text COLLATE "C" NOT NULL CHECK (membership IN ('join', 'invite', 'knock', 'leave', 'ban')),
  event_number  bigint NOT NULL REFERENCES events ON DELETE CASCADE,
  -- When it came about, in the log.
  position      bigint NOT NULL,
  is_forgotten  boolean NOT NULL DEFAULT false,
  -- What an invited or knocking user may know of the room: stripped state, a JSON array.
  stripped_state text,
  PRIMARY KEY (room_number, user_number)
);
CREATE INDEX memberships_user ON memberships (user_number, membership);
CREATE INDEX memberships_event ON memberships (event_number);

CREATE TABLE event_relations (
  parent_id     text COLLATE "C" NOT NULL CHECK (octet_length(parent_id) <= 255),
  child_number  bigint NOT NULL REFERENCES events ON DELETE CASCADE,
  room_number   integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  rel_type      text COLLATE "C" NOT NULL CHECK (octet_length(rel_type) <= 255),
  PRIMARY KEY (parent_id, child_number)
);
CREATE INDEX event_relations_child ON event_relations (child_number);
CREATE INDEX event_relations_threads ON event_relations (room_number, child_number) WHERE rel_type = 'm.thread';

-- Requests that carry a transaction ID, so that asking again gives the same answer.
-- The hash is over user, device, path and transaction ID. event_number is NULL for to-device messages.
CREATE TABLE transactions (
  request_hash    bytea PRIMARY KEY CHECK (octet_length(request_hash) = 16),
  event_number    bigint REFERENCES events ON DELETE CASCADE,
  device_id       text COLLATE "C",
  transaction_id  text COLLATE "C" NOT NULL,
  sent_on         date NOT NULL DEFAULT current_date
);
CREATE INDEX transactions_event ON transactions (event_number);
CREATE INDEX transactions_sent ON transactions (sent_on);

CREATE TABLE receipts (
  room_number   integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  user_number   integer NOT NULL REFERENCES users ON DELETE CASCADE,
  receipt_type  text COLLATE "C" NOT NULL CHECK (receipt_type IN ('m.read', 'm.read.private')),
  -- '' for an unthreaded receipt, 'main' for the main timeline, else the thread root's event ID.
  thread_id     text COLLATE "C" NOT NULL DEFAULT '',
  event_number  bigint NOT NULL REFERENCES events ON DELETE CASCADE,
  read_ts       bigint NOT NULL,
  position      bigint NOT NULL,
  PRIMARY KEY (room_number, user_number, receipt_type, thread_id)
);
CREATE INDEX receipts_position ON receipts (room_number, position);
CREATE INDEX receipts_event ON receipts (event_number);

CREATE TABLE room_aliases (
  alias           text COLLATE "C" PRIMARY KEY CHECK (octet_length(alias) <= 255),
  room_number     integer NOT NULL REFERENCES rooms ON DELETE CASCADE,
  creator_number  integer NOT NULL REFERENCES users
);
CREATE INDEX room_aliases_room ON room_aliases (room_number);

-- Encryption -------------------------------------------------------------------------------------------------------------

CREATE TABLE to_device_messages (
  position       bigint PRIMARY KEY,
  user_number    integer NOT NULL,
  device_id      text COLLATE "C" NOT NULL,
  sender_number  integer NOT NULL REFERENCES users,
  type           text COLLATE "C" NOT NULL,
  content        text NOT NULL,
  sent_on        date NOT NULL DEFAULT current_date,
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX to_device_messages_device ON to_device_messages (user_number, device_id, position);

CREATE TABLE device_keys (
  user_number  integer NOT NULL,
  device_id    text COLLATE "C" NOT NULL,
  keys         text NOT NULL,
  PRIMARY KEY (user_number, device_id),
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);

CREATE TABLE one_time_keys (
  user_number  integer NOT NULL,
  device_id    text COLLATE "C" NOT NULL,
  algorithm    text COLLATE "C" NOT NULL CHECK (octet_length(algorithm) <= 255),
  key_id       text COLLATE "C" NOT NULL CHECK (octet_length(key_id) <= 255),
  -- The order of upload, which is the order of handing out.
  key_number   bigint GENERATED ALWAYS AS IDENTITY,
  key          text NOT NULL,
  PRIMARY KEY (user_number, device_id, algorithm, key_id),
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX one_time_keys_order ON one_time_keys (user_number, device_id, algorithm, key_number);

CREATE TABLE fallback_keys (
  user_number  integer NOT NULL,
  device_id    text COLLATE "C" NOT NULL,
  algorithm    text COLLATE "C" NOT NULL CHECK (octet_length(algorithm) <= 255),
  key_id       text COLLATE "C" NOT NULL CHECK (octet_length(key_id) <= 255),
  key          text NOT NULL,
  is_used      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (user_number, device_id, algorithm),
  FOREIGN KEY (user_number, device_id) REFERENCES devices ON DELETE CASCADE
);

CREATE TABLE cross_signing_keys (
  user_number  integer NOT NULL REFERENCES users ON DELETE CASCADE,
  usage        text COLLATE "C" NOT NULL CHECK (usage IN ('master', 'self_signing', 'user_signing')),
  keys         text NOT NULL,
  PRIMARY KEY (user_number, usage)
);

-- Signatures that one key made over another key, kept apart from what the owner uploaded.
CREATE TABLE key_signatures (
  target_number   integer NOT NULL REFERENCES users ON DELETE CASCADE,
  -- A device ID or an unpadded base64 public key.
  target_key      text COLLATE "C" NOT NULL CHECK (octet_length(target_key) <= 255),
  signer_number   integer NOT NULL REFERENCES users ON DELETE CASCADE,
  signer_key_id   text COLLATE "C" NOT NULL CHECK (octet_length(signer_key_id) <= 255),
  signature       text NOT NULL,
  PRIMARY KEY (target_number, target_key, signer_number, signer_key_id)
);
CREATE INDEX key_signatures_signer ON key_signatures (signer_number);

-- When each user's set of devices or keys last changed.
CREATE TABLE device_list_changes (
  user_number  integer PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  position     bigint NOT NULL
);
CREATE INDEX device_list_changes_position ON device_list_changes (position);

CREATE TABLE key_backups (
  user_number    integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
  version        integer NOT NULL,
  algorithm      text NOT NULL,
  auth_data      text NOT NULL,
  -- Counts the changes of the backed-up sessions.
  etag           bigint NOT NULL DEFAULT 0,
  session_count  bigint NOT NULL DEFAULT 0 CHECK (session_count >= 0),
  -- A deleted version keeps its row, emptied, until there is a newer one, so that its number is not given out again.
  is_deleted     boolean NOT NULL DEFAULT false,
  PRIMARY KEY (user_number, version)
);

CREATE TABLE backed_up_sessions (
  user_number          integer NOT NULL,
  version              integer NOT NULL,
  room_id              text COLLATE "C" NOT NULL CHECK (octet_length(room_id) <= 255),
  session_id           text COLLATE "C" NOT NULL CHECK (octet_length(session_id) <= 255),
  first_message_index  bigint NOT NULL,
  forwarded_count      bigint NOT NULL,
  is_verified          boolean NOT NULL,
  session_data         text NOT NULL,
  PRIMARY KEY (user_number, version, room_id, session_id),
  FOREIGN KEY (user_number, version) REFERENCES key_backups ON DELETE CASCADE
);
ALTER TABLE backed_up_sessions ALTER COLUMN session_data SET STATISTICS 0;

-- Media ------------------------------------------------------------------------------------------------------------------

CREATE TABLE media (
  media_id      text COLLATE "C" PRIMARY KEY CHECK (octet_length(media_id) <= 255),
  user_number   integer NOT NULL REFERENCES users,
  -- The file's name in the media store, our own and random; NULL while the upload is awaited.
  file_name     text COLLATE "C",
  content_type  text,
  upload_name   text,
  size_bytes    bigint,
  sha256        bytea CHECK (octet_length(sha256) = 32),
  created_ts    bigint NOT NULL,
  -- An awaited upload is void after this.
  expires_ts    bigint
);
CREATE INDEX media_user ON media (user_number);
CREATE INDEX media_expires ON media (expires_ts) WHERE expires_ts IS NOT NULL;

CREATE TABLE media_thumbnails (
  media_id      text COLLATE "C" NOT NULL REFERENCES media ON DELETE CASCADE,
  width         integer NOT NULL,
  height        integer NOT NULL,
  method        text COLLATE "C" NOT NULL CHECK (method IN ('crop', 'scale')),
  is_animated   boolean NOT NULL DEFAULT false,
  file_name     text COLLATE "C" NOT NULL,
  content_type  text NOT NULL,
  size_bytes    bigint NOT NULL,
  PRIMARY KEY (media_id, width, height, method, is_animated)
);

-- Files of the media store that no row refers to: being written, or to be removed. Each stands here before it exists and
-- until it is gone, so that a crash leaves nothing behind that cannot be found.
CREATE TABLE unreferenced_files (
  file_name  text COLLATE "C" PRIMARY KEY,
  -- What still stands here then is to be removed.
  remove_ts  bigint NOT NULL
);
CREATE INDEX unreferenced_files_remove ON unreferenced_files (remove_ts);
