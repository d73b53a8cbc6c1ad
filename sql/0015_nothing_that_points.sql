-- What pointed to things that were forgotten, or told what had changed since.

-- A report names its event while that is there ('' afterwards): those of events that are deleted are found by this.
CREATE INDEX reports_event ON reports (event_id) WHERE event_id IS NOT NULL;
UPDATE reports SET event_id = '' WHERE event_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM events e WHERE e.event_id = reports.event_id);

-- What a redacted event was related to is gone from it, and so from here.
DELETE FROM event_relations r USING events e WHERE e.event_number = r.child_number AND e.flags & 4 <> 0;

-- Those who are invited, or knock, are told what the room says now: what it said then need not be kept for them.
ALTER TABLE memberships DROP COLUMN stripped_state;
