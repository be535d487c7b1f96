-- +goose Up
-- The release before this one keeps its answers in idempotency_keys, and serves beside this
-- one while a deployment lasts. Until a later migration drops that table, each table receives
-- what is inserted into the other, and this release's deletions also go to the old one. Both
-- releases take a key in idempotent_requests first, so that they never wait for each other in
-- a circle.

-- +goose StatementBegin
CREATE FUNCTION idempotency_key_to_request() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    at text := to_char(NEW.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
BEGIN
    INSERT INTO idempotent_requests AS known (operation, key, fingerprint, answer, expires_at)
    VALUES ('createTask', NEW.key, NEW.fingerprint, json_build_object('id', NEW.task_id, 'title', NEW.title,
        'completed', NEW.completed, 'created_at', at, 'updated_at', at), NEW.expires_at)
    ON CONFLICT (operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
    WHERE known.expires_at <= now();
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION idempotent_requests_to_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM written) THEN -- as of an INSERT that has updated nothing
        RETURN NULL;
    END IF;
    INSERT INTO idempotency_keys (key, fingerprint, task_id, title, completed, created_at, expires_at)
    SELECT key, fingerprint, (answer->>'id')::uuid, answer->>'title', (answer->>'completed')::boolean, (answer->>'created_at')::timestamptz, expires_at
    FROM written WHERE operation = 'createTask' ORDER BY key
    ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, task_id = excluded.task_id, title = excluded.title,
        completed = excluded.completed, created_at = excluded.created_at, expires_at = excluded.expires_at;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- What the other release is removing or renewing at this moment, it removes itself.
-- +goose StatementBegin
CREATE FUNCTION idempotent_requests_without_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT known.key FROM idempotency_keys AS known JOIN removed ON removed.operation = 'createTask' AND removed.key = known.key
        FOR UPDATE OF known SKIP LOCKED);
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- From here on the release before waits with its keys, until all of this is committed.
CREATE TRIGGER to_request BEFORE INSERT ON idempotency_keys
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION idempotency_key_to_request();

INSERT INTO idempotent_requests AS known (operation, key, fingerprint, answer, expires_at)
SELECT 'createTask', key, fingerprint, json_build_object('id', task_id, 'title', title,
    'completed', completed, 'created_at', at, 'updated_at', at), expires_at
FROM (SELECT *, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM idempotency_keys) AS newer
WHERE expires_at > now() AND NOT EXISTS (
    SELECT FROM idempotent_requests AS copied
    WHERE copied.operation = 'createTask' AND copied.key = newer.key AND copied.expires_at = newer.expires_at)
ON CONFLICT (operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at;

-- Not before the rows are there, which would else be written back.
CREATE TRIGGER inserted_to_keys AFTER INSERT ON idempotent_requests REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION idempotent_requests_to_keys();
CREATE TRIGGER updated_to_keys AFTER UPDATE ON idempotent_requests REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION idempotent_requests_to_keys();
CREATE TRIGGER removed_from_keys AFTER DELETE ON idempotent_requests REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION idempotent_requests_without_keys();
