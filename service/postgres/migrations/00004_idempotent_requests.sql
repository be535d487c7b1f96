-- +goose Up
-- The answer to each request that carried an Idempotency-Key, of any operation.
CREATE TABLE idempotent_requests (
    operation   text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    answer      json        NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (operation, key)
);
CREATE INDEX idempotent_requests_by_expiry ON idempotent_requests (expires_at);

-- Most of what the release before has; the next migration brings the rest, and with it less to
-- lock that release out for.
INSERT INTO idempotent_requests (operation, key, fingerprint, answer, expires_at)
SELECT 'createTask', key, fingerprint, json_build_object('id', task_id, 'title', title,
    'completed', completed, 'created_at', at, 'updated_at', at), expires_at
FROM (SELECT *, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM idempotency_keys) AS known
WHERE expires_at > now();
