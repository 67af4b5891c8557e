-- +goose NO TRANSACTION
-- +goose Up

-- One row per vote that ever came, or was given back before it came. A vote that was
-- given back stays (counted = false): its ref never counts again.
CREATE TABLE IF NOT EXISTS votes (
    item_id      text COLLATE "C" NOT NULL,
    ref          text COLLATE "C" NOT NULL,
    counted      boolean NOT NULL,
    prev_counted boolean NOT NULL DEFAULT false, -- before the last change, as likes.prev_liked
    weight       integer NOT NULL CHECK (weight >= 0), -- 0: given back before it came
    version      bigint NOT NULL,
    PRIMARY KEY (item_id, ref)
);

-- The part of an item's count that is votes; NULL where nobody ever voted.
ALTER TABLE item_counts ADD COLUMN IF NOT EXISTS votes bigint;

-- Few items have votes: to ask which of them do must cost next to nothing.
DROP INDEX CONCURRENTLY IF EXISTS item_counts_voted;
CREATE INDEX CONCURRENTLY item_counts_voted ON item_counts (item_id) WHERE votes IS NOT NULL;
