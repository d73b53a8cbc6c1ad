-- The command line orders work too, and is nobody: user_number is NULL then.
ALTER TABLE background_jobs ALTER COLUMN user_number DROP NOT NULL;
ALTER TABLE blocked_rooms ALTER COLUMN user_number DROP NOT NULL;
