-- +goose Up

-- One row per source of likes from elsewhere, and how far it has been brought in.
CREATE TABLE imports (
    source     text PRIMARY KEY,            -- a hash of what tells it from others
    name       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    at         timestamptz NOT NULL DEFAULT now(),
    done       boolean NOT NULL DEFAULT false,
    records    bigint NOT NULL DEFAULT 0,   -- of the source, up to here all are in
    place      text NOT NULL DEFAULT '',    -- where a query goes on; files go on behind records
    rejects    bigint NOT NULL DEFAULT 0,   -- length of the file of rejects, in bytes
    brought    bigint NOT NULL DEFAULT 0,
    kept       bigint NOT NULL DEFAULT 0,
    rejected   bigint NOT NULL DEFAULT 0
);
