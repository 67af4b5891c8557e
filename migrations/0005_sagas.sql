-- +goose Up

-- One row per change of a pair that participants are to agree to. Package
-- tasks/saga draws the states.
CREATE TABLE sagas (
    -- sag_<receipt>-<mark of the pair>: a change that is drained again makes the
    -- same id, and the sagas of one receipt stand together
    id           text COLLATE "C" PRIMARY KEY,
    shard        integer NOT NULL, -- of the receipt
    version      bigint NOT NULL,
    item_id      text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    liked        boolean NOT NULL,
    participants text[] NOT NULL,  -- as they were set then, in the order of their calls
    state        text NOT NULL DEFAULT 'pending'
                 CHECK (state IN ('pending', 'done', 'compensating', 'compensated', 'stuck')),
    -- how many have agreed (or count as if they had, by hand); while compensating,
    -- how many have still to give it back
    step         integer NOT NULL DEFAULT 0 CHECK (step BETWEEN 0 AND cardinality(participants)),
    -- whose answer is next; '' is plusone itself, which ends it
    waits_for    text COLLATE "C" GENERATED ALWAYS AS (
                     CASE state WHEN 'pending' THEN coalesce(participants[step + 1], '')
                                WHEN 'compensating' THEN coalesce(participants[step], '') END) STORED,
    held         boolean, -- what participants had of the pair when its turn came; NULL: not known
    attempts     integer NOT NULL DEFAULT 0,          -- at this step, those under way included
    since        timestamptz NOT NULL DEFAULT now(),  -- of this step
    next_at      timestamptz NOT NULL DEFAULT now(),  -- of the next attempt; while one is under way, when its claim ends
    made_at      timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    rejected_by  text,
    reason       text,
    last_error   text,
    notification text,                                -- that tells of it
    alerted      boolean NOT NULL DEFAULT false       -- somebody was told that it is stuck
);

-- The sagas of a pair, in their order.
CREATE UNIQUE INDEX sagas_by_pair ON sagas (item_id, user_id, version);
CREATE INDEX sagas_due ON sagas (waits_for, next_at) WHERE state IN ('pending', 'compensating');
CREATE INDEX sagas_stuck ON sagas (id) WHERE state = 'stuck';

-- What operators did by hand.
CREATE TABLE saga_acts (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    saga_id text COLLATE "C" NOT NULL,
    who     text NOT NULL,
    act     text NOT NULL CHECK (act IN ('retry', 'compensate', 'complete')),
    reason  text NOT NULL,
    state   text NOT NULL -- before the act
);

CREATE INDEX saga_acts_by_saga ON saga_acts (saga_id, id);
