-- +goose Up

-- Operators may have a notification delivered once more.
ALTER TABLE acts
    DROP CONSTRAINT IF EXISTS acts_kind_check,
    ADD CONSTRAINT acts_kind_check CHECK (kind IN ('saga', 'item', 'revocation', 'dead letter', 'notification'));
