package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// The states of a saga; package tasks/saga draws how they follow each other.
const (
	SagaPending      = "pending"
	SagaDone         = "done"
	SagaCompensating = "compensating"
	SagaCompensated  = "compensated"
	SagaStuck        = "stuck"
)

// Saga is a change of a pair that participants are to agree to.
type Saga struct {
	ID           string
	Shard        int
	Version      like.Version
	Item, User   string
	Liked        bool
	Participants []string // in the order of their calls
	State        string
	Step         int // how many have agreed; while compensating, how many have still to give it back
	Attempts     int // at this step, those under way included
	MadeAt       time.Time
}

// Receipt is what the user got for the change.
func (s Saga) Receipt() like.Receipt { return like.Receipt{Shard: s.Shard, Version: s.Version} }

// sagaColumns are the columns of a Saga, of a row named s.
const sagaColumns = `s.id, s.shard, s.version, s.item_id, s.user_id, s.liked, s.participants, s.state, s.step, s.attempts, s.made_at`

func (s *Saga) columns() []any {
	return []any{
		&s.ID, &s.Shard, &s.Version, &s.Item, &s.User, &s.Liked, &s.Participants, &s.State, &s.Step, &s.Attempts, &s.MadeAt,
	}
}

// sagaID makes the id of a saga in SQL. The mark of the pair keeps apart what one
// receipt stands for; two pairs with one mark would take 2⁴⁸ tries to find, in
// one call of the like script.
func sagaID(shard, version, item, user string) string {
	return fmt.Sprintf(`'sag_' || %s || '-' || (%s >> 20) || '-' || (%[2]s & 1048575) || '-' ||
		left(encode(sha256(convert_to(%[3]s || ' ' || %[4]s, 'UTF8')), 'hex'), 24)`, shard, version, item, user)
}

// applySagasSQL is applySQL that also begins a saga for each row that it really
// flips, $8 being the participants. Nothing else flips rows, so whoever made the
// change (a user, a repair, a saga that was taken back) the participants hear of
// it; the engine sees when they have already what it asks for.
var applySagasSQL = movedSQL + ` AS delta, user_id, liked, version, liked <> prev_liked AS flipped
), begun AS (
	INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants)
	SELECT ` + sagaID("s.shard", "m.version", "m.item_id", "m.user_id") + `,
	       s.shard, m.version, m.item_id, m.user_id, m.liked, $8::text[]
	  FROM moved m
	  JOIN (SELECT i.item_id, i.bucket % y.shards AS shard
	          FROM unnest($5::text[], $6::smallint[]) AS i (item_id, bucket) CROSS JOIN layout y) s ON s.item_id = m.item_id
	 WHERE m.flipped
	ON CONFLICT DO NOTHING` + countedSQL

// ClaimedSaga is a saga whose next step its claimant is to make.
type ClaimedSaga struct {
	Saga
	Blocked bool  // not claimed: an earlier saga of the pair has not ended
	Holds   *bool // what the participants have of the pair, as its last saga left it; nil: not known
}

// parkTime is when a saga that waits for an earlier one of its pair is looked at
// again, if the end of that one does not wake it.
const parkTime = 2 * time.Second

// dueNow: the next attempt of a saga, of a row named s, is due, and not under way.
const dueNow = `s.next_at <= now() AND (s.claimed_until IS NULL OR s.claimed_until <= now())`

// ClaimSagas takes up to limit steps that are due and wait for participant ("" is
// plusone itself), for the time of lease: until then they are nobody else's. A
// claimant that dies leaves them to whoever comes after that. Errors:
// like.ErrUnavailable.
func (l *Ledger) ClaimSagas(ctx context.Context, participant string, limit int, lease time.Duration) (claimed []ClaimedSaga, err error) {
	rows, err := l.pool.Query(ctx, `
		WITH due AS (
			SELECT s.id, e.open, e.holds
			  FROM sagas s
			  LEFT JOIN LATERAL (
				SELECT p.ended_at IS NULL AS open,
				       CASE p.state WHEN 'done' THEN p.liked ELSE coalesce(p.held, NOT p.liked) END AS holds
				  FROM sagas p
				 WHERE p.item_id = s.item_id AND p.user_id = s.user_id AND p.version < s.version
				 ORDER BY p.version DESC LIMIT 1
			  ) e ON true
			 WHERE s.waits_for = $1 AND s.state IN ('pending', 'compensating') AND `+dueNow+`
			 ORDER BY s.next_at LIMIT $2
			   FOR UPDATE OF s SKIP LOCKED
		)
		UPDATE sagas s
		   SET next_at = CASE WHEN due.open THEN now() + $3::interval ELSE s.next_at END,
		       claimed_until = CASE WHEN due.open THEN NULL ELSE now() + $4::interval END,
		       attempts = s.attempts + CASE WHEN due.open THEN 0 ELSE 1 END,
		       held = CASE WHEN due.open THEN s.held ELSE due.holds END
		  FROM due WHERE s.id = due.id
		RETURNING coalesce(due.open, false), due.holds, `+sagaColumns,
		participant, limit, parkTime, lease)
	if err != nil {
		return nil, failed("claim sagas", err)
	}
	claimed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ClaimedSaga, err error) {
		return c, row.Scan(append([]any{&c.Blocked, &c.Holds}, c.columns()...)...)
	})
	return claimed, failed("claim sagas", err)
}
