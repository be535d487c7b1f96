-- +goose NO TRANSACTION
-- +goose Up
-- Lists of one state are in the order of ids as well. CONCURRENTLY, so that nobody's
-- writes wait; a try that was cut leaves an index that is not valid, hence the DROP.
DROP INDEX CONCURRENTLY IF EXISTS tasks_by_completed;
CREATE INDEX CONCURRENTLY tasks_by_completed ON tasks (completed, id);
