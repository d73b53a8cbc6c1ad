-- What administrators need: an account of what they did, work that goes on after its request, rooms that are closed, reports.

-- One row for each use of an endpoint that is for administrators.
CREATE TABLE admin_audit (
  use_number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_number  integer NOT NULL REFERENCES users,
  method       text COLLATE "C" NOT NULL,
  -- The path as declared, with the names of its parameters in place of their values.
  endpoint     text COLLATE "C" NOT NULL,
  -- A keyed hash of the parameters' values; NULL where there are none.
  target_hash  bytea CHECK (octet_length(target_hash) = 16),
  -- Milliseconds since the epoch, cut off to the minute.
  minute_ts    bigint NOT NULL
);
CREATE INDEX admin_audit_minute ON admin_audit (minute_ts);

-- Work that an administrator has ordered. Whoever holds the lock works at the oldest one; one that is killed is taken up again.
CREATE TABLE background_jobs (
  job_id       text COLLATE "C" PRIMARY KEY CHECK (octet_length(job_id) <= 64),
  kind         text COLLATE "C" NOT NULL,
  status       text COLLATE "C" NOT NULL DEFAULT 'scheduled' CHECK (status IN ('scheduled', 'active', 'complete', 'failed')),
  -- Who ordered it, and the room or user that it is about.
  user_number  integer NOT NULL REFERENCES users,
  target       text COLLATE "C" NOT NULL CHECK (octet_length(target) <= 255),
  -- JSON: what was ordered, and how far it has come.
  request      text NOT NULL,
  progress     text NOT NULL DEFAULT '{}',
  -- Why it failed, in words for the administrator.
  failure      text,
  created_ts   bigint NOT NULL,
  ended_ts     bigint
);
CREATE INDEX background_jobs_waiting ON background_jobs (created_ts) WHERE ended_ts IS NULL;
CREATE INDEX background_jobs_target ON background_jobs (target);

-- Rooms that nobody here may enter, known or not.
CREATE TABLE blocked_rooms (
  room_id      text COLLATE "C" PRIMARY KEY CHECK (octet_length(room_id) <= 255),
  -- Who blocked it.
  user_number  integer NOT NULL REFERENCES users,
  -- Only while it is being deleted.
  is_passing   boolean NOT NULL DEFAULT false
);

-- What users reported: an event, a room (no event), or a user (no room).
CREATE TABLE reports (
  report_number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Who reported it.
  user_number      integer NOT NULL REFERENCES users,
  room_number      integer REFERENCES rooms ON DELETE CASCADE,
  event_id         text COLLATE "C" CHECK (octet_length(event_id) <= 255),
  -- The event's sender, or the user who was reported.
  reported_number  integer REFERENCES users,
  reason           text NOT NULL,
  score            integer,
  received_ts      bigint NOT NULL
);
CREATE INDEX reports_received ON reports (received_ts);
CREATE INDEX reports_room ON reports (room_number);

-- Media that nobody gets to see, and media that a quarantine of many leaves alone.
ALTER TABLE media ADD COLUMN is_quarantined boolean NOT NULL DEFAULT false;
ALTER TABLE media ADD COLUMN is_protected boolean NOT NULL DEFAULT false;
