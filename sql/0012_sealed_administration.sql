-- What users wrote in reports, what administrators ordered, and what uploads are called: sealed, as everything else is that
-- people write. What stood here before becomes a value of the first form (see 0004); work that has ended is forgotten.

CREATE FUNCTION kept_as_it_is(value text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT '\x00'::bytea || convert_to(value, 'UTF8') $$;

ALTER TABLE reports ALTER COLUMN reason TYPE bytea USING kept_as_it_is(reason);

DELETE FROM background_jobs WHERE ended_ts IS NOT NULL;
ALTER TABLE background_jobs
  ALTER COLUMN progress DROP DEFAULT,
  ALTER COLUMN request TYPE bytea USING kept_as_it_is(request),
  ALTER COLUMN progress TYPE bytea USING kept_as_it_is(progress);

ALTER TABLE media ALTER COLUMN upload_name TYPE bytea USING kept_as_it_is(upload_name);

DROP FUNCTION kept_as_it_is(text);
