-- +goose Up
-- The answer to each request that carried an Idempotency-Key: the task as it was made.
CREATE TABLE idempotency_keys (
    key         text        PRIMARY KEY,
    fingerprint bytea       NOT NULL,
    task_id     uuid        NOT NULL,
    title       text        NOT NULL,
    completed   boolean     NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
