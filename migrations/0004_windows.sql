-- +goose NO TRANSACTION
-- +goose Up

-- An item's open window of notifications stands in the row of its count, which
-- every change writes anyway: a window costs nothing but its opening and its
-- closing. The table notifications holds the closed ones; what an older binary
-- opens there is closed there.
ALTER TABLE item_counts
    ADD COLUMN IF NOT EXISTS opened_at timestamptz,
    ADD COLUMN IF NOT EXISTS closes_at timestamptz, -- NULL: no window is open, and delta means nothing
    ADD COLUMN IF NOT EXISTS delta     bigint;      -- by how much count has moved since opened_at

-- Room beside each row, so that its next version needs no new index entries.
ALTER TABLE item_counts SET (fillfactor = 70);

DROP INDEX IF EXISTS item_counts_closing;
CREATE INDEX CONCURRENTLY item_counts_closing ON item_counts (closes_at) WHERE closes_at IS NOT NULL;
