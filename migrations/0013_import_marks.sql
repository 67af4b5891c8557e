-- +goose Up

-- The id of the last marker that an import has put into a shard's log, behind what it
-- has brought to Redis: a log that ends before it belongs to a Redis that lacks that. It
-- is not in watermarks, whose rows drains hold while they wait for rows of an import.
CREATE TABLE import_marks (
    shard   integer PRIMARY KEY,
    version bigint NOT NULL
);
