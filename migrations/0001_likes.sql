-- +goose Up

-- One row per (item, user) that was ever liked. A removed like stays as a
-- tombstone (liked = false), so that its version goes on holding back older
-- deliveries. COLLATE "C": Go sorts the keys of a batch by bytes, and batches
-- that lock rows in one order never deadlock.
CREATE TABLE likes (
    item_id    text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    liked      boolean NOT NULL,
    -- the state before the last change of this row: what tells a statement
    -- which rows it really flipped
    prev_liked boolean NOT NULL DEFAULT false,
    weight     integer NOT NULL DEFAULT 1,
    version    bigint NOT NULL,
    PRIMARY KEY (item_id, user_id)
);

-- "What does this user like, newest first".
CREATE INDEX likes_by_user ON likes (user_id, version DESC, item_id DESC) WHERE liked;

-- The sum of an item's liked rows, moved by the statement that moves the rows.
-- bucket is xxhash(item) % 4096; the item's shard is bucket % shards.
CREATE TABLE item_counts (
    item_id text COLLATE "C" PRIMARY KEY,
    bucket  smallint NOT NULL,
    count   bigint NOT NULL DEFAULT 0
);

CREATE INDEX item_counts_by_bucket ON item_counts (bucket, item_id);

-- How far each shard's log is in the ledger. floor >= version: no new log id
-- may be at or below it.
CREATE TABLE watermarks (
    shard      integer PRIMARY KEY,
    version    bigint NOT NULL DEFAULT 0,
    floor      bigint NOT NULL DEFAULT 0,
    drained_at timestamptz NOT NULL DEFAULT now(),
    CHECK (floor >= version)
);

-- One row: how many shards the stored watermarks belong to, and the secret
-- that signs cursors, shared by every process on this database.
CREATE TABLE layout (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    shards integer NOT NULL CHECK (shards BETWEEN 1 AND 4096),
    secret bytea NOT NULL CHECK (length(secret) >= 32)
);

-- Changes that the ledger refused. Ids that are no valid text are kept quoted
-- the Go way.
CREATE TABLE dead_letters (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    shard   integer NOT NULL,
    version bigint NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    liked   boolean NOT NULL,
    undone  boolean NOT NULL, -- taken back in Redis; false when a newer change had replaced it
    error   text NOT NULL,
    UNIQUE (shard, version, item_id, user_id)
);

-- Every finding of the reconciler.
CREATE TABLE repairs (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    run      text NOT NULL,      -- names the pass that found it
    shard    integer,            -- NULL: found by the ledger's check of itself
    item_id  text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C",   -- NULL: the finding is about the item's count
    side     text NOT NULL CHECK (side IN ('counter', 'ledger')), -- which side was wrong
    before   text NOT NULL,
    after    text NOT NULL,
    cause    text NOT NULL,
    repaired boolean NOT NULL    -- false: a dry run, or the repair was refused
);

CREATE INDEX repairs_by_item ON repairs (item_id, at);

-- When each shard was last reconciled wholly, so that several reconcilers share
-- the work; shard -1 is the ledger's check of itself.
CREATE TABLE checks (
    shard      integer PRIMARY KEY,
    checked_at timestamptz NOT NULL
);

-- Changes of one item folded over one window. The partial unique index keeps
-- one open row per item; a change after its closing opens the next one. seq is
-- given at closing, under a lock, so that it is visible in its own order.
CREATE TABLE notifications (
    id        text PRIMARY KEY DEFAULT 'ntf_' || replace(gen_random_uuid()::text, '-', ''),
    seq       bigint UNIQUE,
    item_id   text COLLATE "C" NOT NULL,
    delta     bigint NOT NULL,
    count     bigint NOT NULL DEFAULT 0, -- of the ledger, at closing
    opened_at timestamptz NOT NULL DEFAULT now(),
    closes_at timestamptz NOT NULL,      -- changes go on merging until somebody closes it
    closed_at timestamptz,
    CHECK ((seq IS NULL) = (closed_at IS NULL))
);

CREATE UNIQUE INDEX notifications_open ON notifications (item_id) WHERE seq IS NULL;
CREATE INDEX notifications_closing ON notifications (closes_at) WHERE seq IS NULL;
CREATE SEQUENCE notifications_seq;

-- One row per closed notification and receiver that was set at its closing.
CREATE TABLE deliveries (
    seq        bigint NOT NULL REFERENCES notifications (seq) ON DELETE CASCADE,
    receiver   text COLLATE "C" NOT NULL,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'exhausted')),
    attempts   integer NOT NULL DEFAULT 0,
    first_at   timestamptz, -- of the first attempt; the ladder counts from it
    -- when the next attempt may begin; while one is under way, when its claim
    -- runs out and somebody else may repeat it
    next_at    timestamptz NOT NULL DEFAULT now(),
    last_error text,
    PRIMARY KEY (seq, receiver)
);

CREATE INDEX deliveries_due ON deliveries (receiver, next_at, seq) WHERE state = 'pending';
