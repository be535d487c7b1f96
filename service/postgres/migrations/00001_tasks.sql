-- +goose Up
-- Ids are version 7 UUIDs, so the primary key is also the order of lists.
CREATE TABLE tasks (
    id         uuid        PRIMARY KEY,
    title      text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 500),
    completed  boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
