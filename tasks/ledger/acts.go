package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// What an act was done to.
const (
	onSaga       = "saga"
	onItem       = "item"
	onRevocation = "revocation"
	onDeadLetter = "dead letter"

	onNotification = "notification"
)

// Act is what an operator did, and why.
type Act struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Act    string    `json:"act"`
	Reason string    `json:"reason"`
	State  string    `json:"state_before"`
}

// By is who acts, and why.
type By struct{ Who, Reason string }

func (b By) args() (who, why string) { return storable(b.Who, 200), storable(b.Reason, 1000) }

// acts are what was done to one subject, oldest first.
func (l *Ledger) acts(ctx context.Context, kind, subject string) ([]Act, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT at, who, act, reason, state FROM acts WHERE kind = $1 AND subject = $2 ORDER BY id`, kind, subject)
	if err != nil {
		return nil, failed("read acts", err)
	}
	acts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Act])
	return acts, failed("read acts", err)
}

// noteActs keeps what is done to subjects, whose states before go with them.
func noteActs(ctx context.Context, tx pgx.Tx, kind, act string, by By, subjects, states []string) error {
	who, why := by.args()
	_, err := tx.Exec(ctx, `
		INSERT INTO acts (kind, subject, who, act, reason, state)
		SELECT $1, subject, $2, $3, $4, state FROM unnest($5::text[], $6::text[]) AS s (subject, state)`,
		kind, who, act, why, subjects, states)
	return err
}
