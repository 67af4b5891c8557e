package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Ledger reads and writes the ledger. It is safe for concurrent use.
type Ledger struct {
	pool         *pgxpool.Pool
	participants []string
}

// New returns a Ledger over pool, which stays the caller's to close.
func New(pool *pgxpool.Pool) *Ledger { return &Ledger{pool: pool} }

// With returns l for a plusone in which every change begins a saga with
// participants, called in this order, whose end tells of it. Votes have no part in
// that. Without participants it is l.
func (l *Ledger) With(participants []string) *Ledger {
	return &Ledger{pool: l.pool, participants: participants}
}

// Ping tells whether Postgres answers. The error wraps like.ErrUnavailable.
func (l *Ledger) Ping(ctx context.Context) error {
	return failed("ping", l.pool.Ping(ctx))
}

// inTx runs do in one transaction, committed unless do fails.
func (l *Ledger) inTx(ctx context.Context, what string, do func(pgx.Tx) error) error {
	return failed(what, pgx.BeginFunc(ctx, l.pool, do))
}
