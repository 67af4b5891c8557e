package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// RepairView is a finding of the reconciler as programs read it.
type RepairView struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Run      string    `json:"run"`
	Item     string    `json:"item"`
	User     string    `json:"user,omitempty"` // of a pair; none: it is about the item's count
	Side     string    `json:"side"`
	Before   string    `json:"before"`
	After    string    `json:"after"`
	Cause    string    `json:"cause"`
	Repaired bool      `json:"repaired"`
}

// RepairFilter says which findings to list; what is empty does not matter.
type RepairFilter struct {
	Item, User string
	Since      time.Time
	Before     int64 // an id: those before it
	Limit      int
}

// Repairs lists findings, the newest first.
func (l *Ledger) Repairs(ctx context.Context, f RepairFilter) ([]RepairView, error) {
	var c conditions
	c.and("item_id = ?", f.Item)
	c.and("user_id = ?", f.User)
	c.and("id < ?", f.Before)
	if !f.Since.IsZero() {
		c.and("at >= ?", f.Since)
	}
	rows, err := l.pool.Query(ctx, `
		SELECT id, at, run, item_id, coalesce(user_id, ''), side, before, after, cause, repaired
		  FROM repairs`+c.where()+` ORDER BY id DESC`+c.limit(f.Limit), c.args...)
	if err != nil {
		return nil, failed("list repairs", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RepairView])
	return found, failed("list repairs", err)
}
