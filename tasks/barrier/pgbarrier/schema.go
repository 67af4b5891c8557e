package pgbarrier

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Schema makes the table of barriers where there is none, in the first schema of
// the search path: for the service's migrations, or see Install.
const Schema = `
CREATE TABLE IF NOT EXISTS saga_barriers (
	participant text        NOT NULL, -- services that share a database have rows of their own
	saga        text        NOT NULL,
	state       text        NOT NULL CHECK (state IN ('done', 'rejected', 'undone', 'blocked')),
	reason      text        NOT NULL DEFAULT '',
	at          timestamptz NOT NULL DEFAULT now(), -- of the last change
	PRIMARY KEY (participant, saga)
);
CREATE INDEX IF NOT EXISTS saga_barriers_at ON saga_barriers USING brin (at);`

// schemaLock keeps processes that start at once from making the table at once,
// which Postgres answers with an error in spite of IF NOT EXISTS.
const schemaLock = 7_021_976_431_552_118_133

// Execer is a pool, a connection or a transaction.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Install runs Schema, in one transaction.
func Install(ctx context.Context, db Execer) error {
	// Without arguments it is sent as one text, which is a transaction by itself.
	_, err := db.Exec(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d);", schemaLock)+Schema)
	if err != nil {
		return fmt.Errorf("install the barrier: %w", err)
	}
	return nil
}

// Prune deletes up to limit rows of sagas that last changed longer ago than age,
// and returns how many. A call that comes after its row was pruned is taken for
// the first one: age must be longer than plusone may still call, its
// --saga-patience and what its operators may retry by hand included.
func (b Barrier) Prune(ctx context.Context, db Execer, age time.Duration, limit int) (int64, error) {
	// Rows that a call holds now are not old any more.
	deleted, err := db.Exec(ctx, `
		DELETE FROM saga_barriers WHERE (participant, saga) IN (
			SELECT participant, saga FROM saga_barriers
			 WHERE participant = $1 AND at < now() - $2::interval LIMIT $3 FOR UPDATE SKIP LOCKED)`,
		b.participant, age, limit)
	if err != nil {
		return 0, fmt.Errorf("prune the barrier: %w", err)
	}
	return deleted.RowsAffected(), nil
}

// Beginner is a pool, or a connection.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}
