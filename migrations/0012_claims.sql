-- +goose Up

-- A claim has a column of its own, which no index holds, and a page has room for a
-- second version of its rows: so who claims a step leaves all indexes as they are.
-- next_at is when the next attempt is due, whether or not it is under way.
ALTER TABLE sagas ADD COLUMN IF NOT EXISTS claimed_until timestamptz;
ALTER TABLE sagas SET (fillfactor = 50);
