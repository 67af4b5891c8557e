-- +goose NO TRANSACTION
-- +goose Up

-- "What does this user like". Without the version, the state and the item a change
-- of a row leaves the index as it is, and the rows of a user stand in one entry; the
-- newest are found by sorting them.
DROP INDEX CONCURRENTLY IF EXISTS likes_of_user;
CREATE INDEX CONCURRENTLY likes_of_user ON likes (user_id);
DROP INDEX CONCURRENTLY IF EXISTS likes_by_user;
