-- no-transaction
-- With events_age, which has the messages, this finds the event of a time without walking through the room. Only of state: a
-- message pays for no second index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_state_age ON events (room_number, age_ts) WHERE state_key_number IS NOT NULL;
