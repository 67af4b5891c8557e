-- +goose NO TRANSACTION
-- +goose Up

-- What operators do by hand, whatever they do it to; until now to sagas alone. The
-- view is for a plusone from before.
-- +goose StatementBegin
DO $$ BEGIN
    IF to_regclass('acts') IS NULL THEN
        ALTER TABLE saga_acts RENAME TO acts;
        ALTER TABLE acts RENAME COLUMN saga_id TO subject;
        ALTER TABLE acts DROP CONSTRAINT IF EXISTS saga_acts_act_check;
        ALTER TABLE acts ADD COLUMN kind text NOT NULL DEFAULT 'saga'
            CHECK (kind IN ('saga', 'item', 'revocation', 'dead letter'));
        ALTER INDEX saga_acts_by_saga RENAME TO acts_by_subject;
        CREATE VIEW saga_acts AS SELECT id, at, subject AS saga_id, who, act, reason, state FROM acts WHERE kind = 'saga';
    END IF;
END $$;
-- +goose StatementEnd

-- Items that take no new likes, and those that were once so: Redis hears of every
-- change from here, in the order of the versions, which are given under a lock.
CREATE TABLE IF NOT EXISTS frozen_items (
    item_id text COLLATE "C" PRIMARY KEY,
    bucket  smallint NOT NULL,
    frozen  boolean NOT NULL,
    version bigint NOT NULL UNIQUE,
    since   timestamptz NOT NULL DEFAULT now(),
    who     text NOT NULL,
    reason  text NOT NULL
);

-- What became of a change that was refused: it waits for a person, a worker is to
-- try it again, it is in the ledger now, or somebody has dropped it.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS state   text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retrying', 'retried', 'dropped')),
    ADD COLUMN IF NOT EXISTS next_at timestamptz, -- of the next attempt, while it is retrying
    ADD COLUMN IF NOT EXISTS note    text;        -- why the last attempt did not do it

-- One row per list of users whose likes are taken back. Package tasks/operator
-- draws the states.
CREATE TABLE IF NOT EXISTS revocations (
    id            text COLLATE "C" PRIMARY KEY, -- rev_<ms>-<chance>: in the order of their making
    made_at       timestamptz NOT NULL DEFAULT now(),
    who           text NOT NULL,
    reason        text NOT NULL,
    items         text[] NOT NULL,              -- only likes of these; none: of all
    users         bigint NOT NULL,
    expected      bigint NOT NULL,              -- likes that the ledger had of them then
    state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'undoing', 'undone')),
    round         integer NOT NULL DEFAULT 1,   -- how often it goes through all users, this time included
    found         bigint NOT NULL DEFAULT 0,    -- likes that this round has found
    after_user    text COLLATE "C" NOT NULL DEFAULT '', -- up to here the round is done
    after_item    text COLLATE "C" NOT NULL DEFAULT '',
    taken         bigint NOT NULL DEFAULT 0,
    returned      bigint NOT NULL DEFAULT 0,    -- by an undo
    kept          bigint NOT NULL DEFAULT 0,    -- left as they are by an undo: something newer has happened
    claimed_by    text NOT NULL DEFAULT '',
    claimed_until timestamptz NOT NULL DEFAULT now(), -- then any worker may go on with it
    ended_at      timestamptz,
    last_error    text
);

CREATE INDEX IF NOT EXISTS revocations_open ON revocations (claimed_until) WHERE ended_at IS NULL;

CREATE TABLE IF NOT EXISTS revoked_users (
    revocation_id text COLLATE "C" NOT NULL REFERENCES revocations ON DELETE CASCADE,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (revocation_id, user_id)
);

CREATE TABLE IF NOT EXISTS revoked_likes (
    revocation_id text COLLATE "C" NOT NULL REFERENCES revocations ON DELETE CASCADE,
    user_id       text COLLATE "C" NOT NULL,
    item_id       text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,              -- of the unlike
    came          text CHECK (came IN ('returned', 'kept')), -- of an undo
    PRIMARY KEY (revocation_id, user_id, item_id)
);

-- How operators look for things.
DROP INDEX CONCURRENTLY IF EXISTS sagas_by_user;
CREATE INDEX CONCURRENTLY sagas_by_user ON sagas (user_id, id);
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_by_item;
CREATE INDEX CONCURRENTLY dead_letters_by_item ON dead_letters (item_id, id);
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_by_user;
CREATE INDEX CONCURRENTLY dead_letters_by_user ON dead_letters (user_id, id);
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_retrying;
CREATE INDEX CONCURRENTLY dead_letters_retrying ON dead_letters (next_at) WHERE state = 'retrying';
DROP INDEX CONCURRENTLY IF EXISTS repairs_by_user;
CREATE INDEX CONCURRENTLY repairs_by_user ON repairs (user_id, id) WHERE user_id IS NOT NULL;
