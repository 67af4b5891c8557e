package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// The states of a dead letter.
const (
	LetterOpen     = "open"     // waits for a person
	LetterRetrying = "retrying" // a worker makes the change again
	LetterRetried  = "retried"  // the ledger has it, or it was refused once more: that is another letter
	LetterDropped  = "dropped"  // by a person
)

// ActDrop ends a dead letter; ActRetry has its change made again.
const ActDrop = "drop"

// DeadLetter is a change that the ledger refused. Undone says that Redis took it back;
// else a newer change had replaced it.
type DeadLetter struct {
	ID      int64        `json:"id"`
	At      time.Time    `json:"at"`
	Shard   int          `json:"shard"`
	Version like.Version `json:"-"`
	Item    string       `json:"item"`
	User    string       `json:"user"`
	Liked   bool         `json:"liked"`
	Undone  bool         `json:"undone"`
	Error   string       `json:"error"`
	State   string       `json:"state"`
	Note    string       `json:"note,omitempty"`
	Acts    []Act        `json:"acts,omitempty" db:"-"`
}

const letterColumns = `id, at, shard, version, item_id, user_id, liked, undone, error, state, coalesce(note, '')`

// LetterFilter says which dead letters to list; what is empty does not matter.
type LetterFilter struct {
	State, Item, User string
	After             int64 // an id: those behind it
	Limit             int
}

// DeadLetters lists dead letters by id.
func (l *Ledger) DeadLetters(ctx context.Context, f LetterFilter) ([]DeadLetter, error) {
	var c conditions
	c.and("id > ?", f.After)
	c.and("state = ?", f.State)
	c.and("item_id = ?", f.Item)
	c.and("user_id = ?", f.User)
	rows, err := l.pool.Query(ctx, `SELECT `+letterColumns+` FROM dead_letters`+c.where()+` ORDER BY id`+c.limit(f.Limit), c.args...)
	if err != nil {
		return nil, failed("list dead letters", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeadLetter])
	return found, failed("list dead letters", err)
}

// DeadLetter tells of one, and what operators did to it. Errors: like.ErrNotFound.
func (l *Ledger) DeadLetter(ctx context.Context, id int64) (d DeadLetter, err error) {
	rows, err := l.pool.Query(ctx, `SELECT `+letterColumns+` FROM dead_letters WHERE id = $1`, id)
	if err != nil {
		return d, failed("read a dead letter", err)
	}
	d, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[DeadLetter])
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	if err != nil {
		return d, failed("read a dead letter", err)
	}
	d.Acts, err = l.acts(ctx, onDeadLetter, strconv.FormatInt(id, 10))
	return d, err
}

// ActOnLetter has a worker make a dead letter's change again, or drops it; its receipt
// goes on telling what became of the change then. One whose ids are no ids can be
// dropped alone. Errors: like.ErrNotFound, ErrActRefused.
func (l *Ledger) ActOnLetter(ctx context.Context, id int64, act string, by By) error {
	return l.inTx(ctx, act+" a dead letter", func(tx pgx.Tx) error {
		var state, item, user string
		err := tx.QueryRow(ctx, `SELECT state, item_id, user_id FROM dead_letters WHERE id = $1 FOR UPDATE`, id).Scan(&state, &item, &user)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return like.ErrNotFound
		case err != nil:
			return err
		case state != LetterOpen && state != LetterRetrying, act == ActRetry && (like.CheckItem(item) != nil || like.CheckUser(user) != nil):
			return fmt.Errorf("%s a dead letter: %w", act, ErrActRefused)
		}
		to := LetterDropped
		if act == ActRetry {
			to = LetterRetrying
		}
		_, err = tx.Exec(ctx, `UPDATE dead_letters SET state = $2, next_at = now(), note = NULL WHERE id = $1`, id, to)
		if err != nil {
			return err
		}
		return noteActs(ctx, tx, onDeadLetter, act, by, []string{strconv.FormatInt(id, 10)}, []string{state})
	})
}

// DueLetters claims dead letters that are to be made again, for the time of lease.
func (l *Ledger) DueLetters(ctx context.Context, limit int, lease time.Duration) ([]DeadLetter, error) {
	rows, err := l.pool.Query(ctx, `
		UPDATE dead_letters SET next_at = now() + $2::interval
		 WHERE id IN (SELECT id FROM dead_letters WHERE state = 'retrying' AND next_at <= now() ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING `+letterColumns, limit, lease)
	if err != nil {
		return nil, failed("claim dead letters", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeadLetter])
	return due, failed("claim dead letters", err)
}

// RetryLetter looks whether the ledger has a letter's change by now; if not, and
// nothing newer has happened to the pair, it calls again, which makes it in Redis
// unless an entry above after names the pair, and says what is to be noted. shard is
// that of the item as it is now; no drain moves it meanwhile.
func (l *Ledger) RetryLetter(ctx context.Context, d DeadLetter, shard int, again func(ctx context.Context, after like.Version) (note string, err error)) error {
	return l.inTx(ctx, "retry a dead letter", func(tx pgx.Tx) error {
		var after, version like.Version
		var liked, refused bool
		if _, err := tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = '10s'`); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT version FROM watermarks WHERE shard = $1 FOR UPDATE`, shard).Scan(&after)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `
			SELECT coalesce(l.liked, false), coalesce(l.version, 0),
			       EXISTS (SELECT FROM dead_letters n WHERE n.item_id = $1 AND n.user_id = $2 AND n.id > $3)
			  FROM (SELECT) AS always LEFT JOIN likes l ON l.item_id = $1 AND l.user_id = $2`, d.Item, d.User, d.ID).Scan(&liked, &version, &refused)
		if err != nil {
			return err
		}
		state, note := LetterRetrying, ""
		switch {
		case liked == d.Liked:
			state = LetterRetried
		case refused:
			state, note = LetterRetried, "it was refused once more, see the pair's next letter"
		case version > d.Version:
			state, note = LetterOpen, "something newer has happened to the pair"
		default:
			if note, err = again(ctx, after); err != nil {
				note = err.Error()
			}
		}
		_, err = tx.Exec(ctx, `
			UPDATE dead_letters SET state = $2, note = nullif($3, ''), next_at = now() + interval '1 second'
			 WHERE id = $1 AND state = 'retrying'`, d.ID, state, storable(note, 500))
		return err
	})
}
