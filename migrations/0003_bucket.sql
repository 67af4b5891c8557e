-- +goose Up

-- No statement ever reads counts by their bucket, but every new item paid for
-- the index's entry.
DROP INDEX item_counts_by_bucket;
