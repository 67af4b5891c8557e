-- +goose Up

-- One row: where every process writes likes. It is the only authority. since is
-- NULL between the two steps of a switch to the ledger; until it is set nobody
-- writes at all.
CREATE TABLE modes (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    writes_to text NOT NULL DEFAULT 'redis' CHECK (writes_to IN ('redis', 'ledger')),
    epoch     bigint NOT NULL DEFAULT 0, -- grows with every switch
    since     timestamptz DEFAULT now(),
    -- for how long Redis must have answered without a break before writes go back
    patience  interval NOT NULL DEFAULT '2 seconds'
);

INSERT INTO modes DEFAULT VALUES;

-- The heartbeats of the processes that write likes.
CREATE TABLE processes (
    id          text PRIMARY KEY,
    role        text NOT NULL,
    at          timestamptz NOT NULL,
    redis_ok    boolean NOT NULL,          -- whether it reaches Redis
    redis_ahead interval,                  -- Redis' clock minus this one's; NULL: not known
    seen        bigint NOT NULL DEFAULT 0  -- the highest version that Redis has given it
);

-- Items that were written here directly since the last switch: Redis must forget
-- what it has of them before writes go back to it. version is that of the last
-- write, and within a shard they become visible in its order.
CREATE TABLE direct_items (
    item_id text COLLATE "C" PRIMARY KEY,
    shard   integer NOT NULL,
    version bigint NOT NULL
);

CREATE INDEX direct_items_by_version ON direct_items (shard, version, item_id);
