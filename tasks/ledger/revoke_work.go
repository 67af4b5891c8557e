package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// ErrNotClaimed: somebody else works on it by now, or its state has changed.
var ErrNotClaimed = errors.New("the revocation is not this process' any more")

// ClaimRevocation takes a revocation that has not ended and that nobody works on, for
// the time of lease. Errors: like.ErrNotFound when there is none.
func (l *Ledger) ClaimRevocation(ctx context.Context, by string, lease time.Duration) (r Revocation, err error) {
	rows, err := l.pool.Query(ctx, `
		UPDATE revocations SET claimed_by = $1, claimed_until = now() + $2::interval
		 WHERE id = (SELECT id FROM revocations WHERE ended_at IS NULL AND claimed_until <= now()
		              ORDER BY claimed_until LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING `+revocationColumns, by, lease)
	if err != nil {
		return r, failed("claim a revocation", err)
	}
	r, err = pgx.CollectExactlyOneRow(rows, scanRevocation)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	return r, failed("claim a revocation", err)
}

// Revoked is a like that a revocation takes back, or has taken: then Version is that
// of the unlike.
type Revoked struct {
	Item, User string
	Version    like.Version
}

// revokeUsers is how many users one page looks at, at most.
const revokeUsers = 500

// RevokePage returns the next pairs of a round, at most limit, and where they end;
// more says that the round goes on behind them.
func (l *Ledger) RevokePage(ctx context.Context, r Revocation, limit int) (page []Revoked, end RevokedAt, more bool, err error) {
	if r.State == RevocationUndoing {
		return l.takenPage(ctx, r, limit)
	}
	var last *string // of the users that were looked at
	rows, err := l.pool.Query(ctx, `
		WITH u AS MATERIALIZED (
			SELECT user_id FROM revoked_users WHERE revocation_id = $1 AND user_id >= $2 ORDER BY user_id LIMIT $6
		), page AS (
			SELECT u.user_id, l.item_id
			  FROM u CROSS JOIN LATERAL (
				SELECT item_id FROM likes
				 WHERE user_id = u.user_id AND liked AND (cardinality($4::text[]) = 0 OR item_id = ANY ($4))
				   AND (u.user_id > $2 OR item_id > $3)
				 ORDER BY item_id LIMIT $5) l
			 ORDER BY u.user_id, l.item_id LIMIT $5
		)
		SELECT p.user_id, p.item_id, (SELECT max(user_id) FROM u HAVING count(*) = $6)
		  FROM (SELECT) AS always LEFT JOIN page p ON true ORDER BY 1, 2`,
		r.ID, r.After.User, r.After.Item, r.Items, limit, revokeUsers)
	if err != nil {
		return nil, end, false, failed("look for likes to revoke", err)
	}
	var user, item *string
	_, err = pgx.ForEachRow(rows, []any{&user, &item, &last}, func() error {
		if user != nil {
			page = append(page, Revoked{User: *user, Item: *item})
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, end, false, failed("look for likes to revoke", err)
	case len(page) == limit:
		return page, RevokedAt{page[limit-1].User, page[limit-1].Item}, true, nil
	case last != nil: // all of these users, to their last item
		return page, RevokedAt{*last, maxText}, true, nil
	}
	return page, end, false, nil
}

// maxText is behind every item id: those hold no such character.
const maxText = "\U0010FFFF"

func (l *Ledger) takenPage(ctx context.Context, r Revocation, limit int) (page []Revoked, end RevokedAt, more bool, err error) {
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, user_id, version FROM revoked_likes
		 WHERE revocation_id = $1 AND (user_id, item_id) > ($2, $3) AND came IS NULL
		 ORDER BY user_id, item_id LIMIT $4`, r.ID, r.After.User, r.After.Item, limit)
	if err == nil {
		page, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Revoked])
	}
	if len(page) > 0 {
		end = RevokedAt{page[len(page)-1].User, page[len(page)-1].Item}
	}
	return page, end, len(page) == limit, failed("look for likes to return", err)
}

// Moved is what Redis made of a pair: Version is that of the change, zero when there
// was none.
type Moved struct {
	Version like.Version
	Newer   bool // the log names the pair: another look, after a drain, tells
	Load    bool // Redis has to load the item, or learn of the user, first
}

// MoveRevoked takes likes of a running revocation back, or returns those of one that
// is being undone, as far as they stand as the page has them: a like, or the very
// unlike that took it back. With the rows of the pairs locked, so that no drain gets
// past an entry that names one, move makes the changes in Redis, each marked as this
// revocation's. So a crash before the commit here loses nothing: NoteMarks finds
// them. It returns the pairs that are to be moved again. Errors: ErrNotClaimed.
func (l *Ledger) MoveRevoked(
	ctx context.Context, r Revocation, by string, page []Revoked, shards []int,
	move func(context.Context, []SagaReturn) ([]Moved, error),
) (again []Moved, left []Revoked, err error) {
	err = l.inTx(ctx, "move revoked likes", func(tx pgx.Tx) error {
		again, left = nil, nil
		if err := holdRevocation(ctx, tx, r, by); err != nil {
			return err
		}
		standing, kept, err := l.revokedStanding(ctx, tx, r, page, shards)
		if err != nil {
			return err
		}
		var moved []Moved
		if len(standing) > 0 {
			if moved, err = move(ctx, standing); err != nil {
				return err
			}
		}
		done := make([]Revoked, 0, len(moved))
		for i, m := range moved {
			p := Revoked{Item: standing[i].Saga.Item, User: standing[i].Saga.User, Version: m.Version}
			switch {
			case m.Version != 0:
				done = append(done, p)
			case m.Load || r.State == RevocationRunning:
				p.Version = standing[i].Saga.Version
				again, left = append(again, m), append(left, p)
			default:
				kept = append(kept, p)
			}
		}
		return noteMoved(ctx, tx, r, done, kept)
	})
	return again, left, err
}

// holdRevocation keeps others, operators included, from a revocation until the end of
// the transaction.
func holdRevocation(ctx context.Context, tx pgx.Tx, r Revocation, by string) error {
	var q pgx.Batch
	q.Queue(`SET LOCAL idle_in_transaction_session_timeout = '10s'`)
	q.Queue(`UPDATE revocations SET claimed_until = now() + interval '1 minute', last_error = NULL
		 WHERE id = $1 AND claimed_by = $2 AND state = $3 RETURNING 1`, r.ID, by, r.State).QueryRow(func(row pgx.Row) error {
		var one int
		return row.Scan(&one)
	})
	err := tx.SendBatch(ctx, &q).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotClaimed
	}
	return err
}

// revokedStanding locks the rows of pairs and sorts them: those that stand as the
// page says, with the watermark of their shard, and those of an undo that something
// newer has happened to.
func (l *Ledger) revokedStanding(ctx context.Context, tx pgx.Tx, r Revocation, page []Revoked, shards []int) (standing []SagaReturn, kept []Revoked, err error) {
	items, users := columnsOf(page)
	if err := lockRows(ctx, tx, items, users); err != nil {
		return nil, nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT coalesce(l.liked, false), coalesce(l.version, 0), coalesce(w.version, 0)
		  FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS q (item_id, user_id, shard, n)
		  LEFT JOIN likes l ON l.item_id = q.item_id AND l.user_id = q.user_id
		  LEFT JOIN watermarks w ON w.shard = q.shard
		 ORDER BY q.n`, items, users, shards)
	if err != nil {
		return nil, nil, err
	}
	var liked bool
	var version, mark like.Version
	i := 0
	_, err = pgx.ForEachRow(rows, []any{&liked, &version, &mark}, func() error {
		p := page[i]
		i++
		undoing := r.State == RevocationUndoing
		switch {
		case liked != undoing && (!undoing || version == p.Version):
			s := ClaimedSaga{Saga: Saga{Item: p.Item, User: p.User, Liked: liked, Version: version}}
			standing = append(standing, SagaReturn{Saga: s, After: mark})
		case undoing:
			kept = append(kept, p)
		}
		return nil
	})
	return standing, kept, err
}

func columnsOf(page []Revoked) (items, users []string) {
	items, users = make([]string, len(page)), make([]string, len(page))
	for i, p := range page {
		items[i], users[i] = p.Item, p.User
	}
	return items, users
}

// noteMoved records what was done, and counts it once.
func noteMoved(ctx context.Context, tx pgx.Tx, r Revocation, done, kept []Revoked) error {
	if r.State == RevocationRunning {
		return noteTaken(ctx, tx, r.ID, done)
	}
	if err := noteCame(ctx, tx, r.ID, "returned", done); err != nil {
		return err
	}
	return noteCame(ctx, tx, r.ID, "kept", kept)
}

// noteTaken records what was taken, but nothing of users who were erased meanwhile:
// then they are no users of the revocation any more, or the erasure waits for this.
func noteTaken(ctx context.Context, tx pgx.Tx, id string, done []Revoked) error {
	items, users := columnsOf(done)
	versions := make([]int64, len(done))
	for i, p := range done {
		versions[i] = int64(p.Version)
	}
	_, err := tx.Exec(ctx, `
		WITH taken AS (
			INSERT INTO revoked_likes AS r (revocation_id, item_id, user_id, version)
			SELECT $1, q.* FROM unnest($2::text[], $3::text[], $4::bigint[]) AS q (item_id, user_id, version)
			  JOIN revoked_users u ON u.revocation_id = $1 AND u.user_id = q.user_id
			   FOR KEY SHARE OF u
			ON CONFLICT (revocation_id, user_id, item_id) DO UPDATE SET version = EXCLUDED.version WHERE r.version < EXCLUDED.version
			RETURNING 1
		)
		UPDATE revocations SET taken = taken + (SELECT count(*) FROM taken) WHERE id = $1`, id, items, users, versions)
	return err
}

func noteCame(ctx context.Context, tx pgx.Tx, id, came string, pairs []Revoked) error {
	if len(pairs) == 0 {
		return nil
	}
	items, users := columnsOf(pairs)
	_, err := tx.Exec(ctx, `
		WITH came AS (
			UPDATE revoked_likes r SET came = $4
			  FROM unnest($2::text[], $3::text[]) AS q (item_id, user_id)
			 WHERE r.revocation_id = $1 AND r.item_id = q.item_id AND r.user_id = q.user_id AND r.came IS NULL
			RETURNING 1
		)
		UPDATE revocations
		   SET returned = returned + CASE WHEN $4 = 'returned' THEN (SELECT count(*) FROM came) ELSE 0 END,
		       kept = kept + CASE WHEN $4 = 'kept' THEN (SELECT count(*) FROM came) ELSE 0 END
		 WHERE id = $1`, id, items, users, came)
	return err
}

// NoteMarks records changes that a revocation has made in Redis and whose record was
// cut off: likes that it has taken, and likes that it has returned. Those that are
// recorded it leaves as they are; of a revocation that is forgotten there is nothing
// to be recorded.
func (l *Ledger) NoteMarks(ctx context.Context, id string, taken, returned []Revoked) error {
	return l.inTx(ctx, "note marks", func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT id FROM revocations WHERE id = $1 FOR UPDATE`, id).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = noteTaken(ctx, tx, id, taken)
		}
		if err == nil {
			err = noteCame(ctx, tx, id, "returned", returned)
		}
		return err
	})
}

// AdvanceRevocation says that a round is done up to a place, and has found so many.
// Errors: ErrNotClaimed.
func (l *Ledger) AdvanceRevocation(ctx context.Context, r Revocation, by string, to RevokedAt, found int) error {
	return l.step(ctx, `after_user = $4, after_item = $5, found = found + $6`, r, by, to.User, to.Item, found)
}

// NextRound begins to go through all once more. Errors: ErrNotClaimed.
func (l *Ledger) NextRound(ctx context.Context, r Revocation, by string) error {
	return l.step(ctx, `after_user = '', after_item = '', found = 0, round = round + 1`, r, by)
}

// EndRevocation ends it; why is for a person, when it has not done all. Errors:
// ErrNotClaimed.
func (l *Ledger) EndRevocation(ctx context.Context, r Revocation, by, why string) error {
	return l.step(ctx, `ended_at = now(), last_error = nullif($4, ''), state = CASE state WHEN 'running' THEN 'done' ELSE 'undone' END`, r, by, why)
}

// HoldRevocation keeps the claim, and notes what holds it up. Errors: ErrNotClaimed.
func (l *Ledger) HoldRevocation(ctx context.Context, r Revocation, by, why string) error {
	return l.step(ctx, `last_error = nullif($4, '')`, r, by, storable(why, 500))
}

// ReleaseRevocation gives the claim back after a pause.
func (l *Ledger) ReleaseRevocation(ctx context.Context, id, by string, pause time.Duration) error {
	_, err := l.pool.Exec(ctx, `
		UPDATE revocations SET claimed_by = '', claimed_until = now() + $3::interval WHERE id = $1 AND claimed_by = $2`, id, by, pause)
	return failed("release a revocation", err)
}

func (l *Ledger) step(ctx context.Context, set string, r Revocation, by string, more ...any) error {
	done, err := l.pool.Exec(ctx, `
		UPDATE revocations SET claimed_until = now() + interval '1 minute', `+set+`
		 WHERE id = $1 AND claimed_by = $2 AND state = $3`, append([]any{r.ID, by, r.State}, more...)...)
	if err == nil && done.RowsAffected() == 0 {
		return ErrNotClaimed
	}
	return failed("go on with a revocation", err)
}

// PruneRevocations forgets revocations that ended before olderThan ago.
func (l *Ledger) PruneRevocations(ctx context.Context, olderThan time.Duration) error {
	_, err := l.pool.Exec(ctx, `DELETE FROM revocations WHERE ended_at < now() - $1::interval`, olderThan)
	return failed("forget revocations", err)
}
