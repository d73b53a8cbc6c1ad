-- The epochs of the log. An epoch is what happens between a start of the server while no process of it was running and the
-- next: whatever a restore or a failover takes away, the epochs behind it are unknown to the database that is left, and
-- those known say how far their tokens may reach.
CREATE TABLE log_epochs (
  epoch_number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch         text COLLATE "C" NOT NULL UNIQUE,
  begins_at     bigint NOT NULL,
  lineage       text COLLATE "C" NOT NULL
);

INSERT INTO log_epochs (epoch, begins_at, lineage) SELECT epoch, 0, '' FROM server;
ALTER TABLE server DROP COLUMN epoch;
