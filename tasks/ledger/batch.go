package ledger

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/hotpath/like"
)

// Batch is the transaction of one drain. It holds the shard's watermark row
// locked until Finish, Commit or Rollback, so that one drain at a time moves a
// shard. It is not safe for concurrent use.
type Batch struct {
	participants []string // who must agree to what Apply changes

	tx        statements
	conn      *pgxpool.Conn // what tx is, b's own until its end; nil: tx is somebody else's transaction
	shard     int
	watermark like.Version
	window    *time.Duration // of notifications; nil: none
}

// statements is a connection with an open transaction.
type statements interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, q *pgx.Batch) pgx.BatchResults
}

// Begin opens the transaction and locks the shard's watermark without waiting,
// in one round trip.
// Errors: ErrLocked when another drain has it, like.ErrNotFound when the ledger
// has no such shard, like.ErrUnavailable.
func (l *Ledger) Begin(ctx context.Context, shard int) (*Batch, error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, failed("begin a drain", err)
	}
	b := &Batch{tx: conn, conn: conn, shard: shard, participants: l.participants}
	if err := b.lock(ctx); err != nil {
		b.Rollback(ctx)
		return nil, failed("lock shard "+strconv.Itoa(shard), err)
	}
	return b, nil
}

func (b *Batch) lock(ctx context.Context) error {
	var q pgx.Batch
	q.Queue(`begin`)
	q.Queue(`SELECT version FROM watermarks WHERE shard = $1 FOR UPDATE SKIP LOCKED`, b.shard).
		QueryRow(func(row pgx.Row) error { return row.Scan(&b.watermark) })
	err := b.tx.SendBatch(ctx, &q).Close()
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var there, direct bool
	err = b.tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM watermarks WHERE shard = $1), writes_to = 'ledger' FROM modes`,
		b.shard).Scan(&there, &direct)
	switch {
	case err != nil:
		return err
	case !there:
		return like.ErrNotFound
	case direct:
		return b.queue(ctx)
	default:
		return ErrLocked
	}
}

// queue waits for the lock behind direct writers, who have it most of the time:
// what finds it free by chance would hardly ever get it.
func (b *Batch) queue(ctx context.Context) error {
	if _, err := b.tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
		return err
	}
	err := b.tx.QueryRow(ctx, `
		SELECT version FROM watermarks WHERE shard = $1 FOR UPDATE`, b.shard).Scan(&b.watermark)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == lockNotAvailable {
		return ErrLocked
	}
	return err
}

// Fold makes what Apply and ApplyVotes change from now on part of notifications of
// window each, or of none when it is 0. Where participants are asked the sagas tell of
// likes, and only votes are folded.
func (b *Batch) Fold(window time.Duration) {
	b.window = &window
	if window == 0 {
		b.window = nil
	}
}

// Shard is the shard that b drains.
func (b *Batch) Shard() int { return b.shard }

// Watermark is the last version of the shard that the ledger had when b began.
func (b *Batch) Watermark() like.Version { return b.watermark }

// Liked reports what the ledger has of a pair, within this transaction. A pair
// that is no valid text has no row.
func (b *Batch) Liked(ctx context.Context, item, user string) (bool, error) {
	if !isText(item) || !isText(user) {
		return false, nil
	}
	var liked bool
	err := b.tx.QueryRow(ctx, `
		SELECT coalesce((SELECT liked FROM likes WHERE item_id = $1 AND user_id = $2), false)`,
		item, user).Scan(&liked)
	return liked, failed("read a pair", err)
}

// DeadLetter keeps a change that the ledger refuses, with the reason. undone
// says that Redis took it back. A change that is kept already stays as it is.
// Ids that are no valid text are kept quoted the Go way, and long text is cut.
func (b *Batch) DeadLetter(ctx context.Context, ch like.Change, undone bool, reason error) error {
	_, err := b.tx.Exec(ctx, `
		INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (shard, version, item_id, user_id) DO NOTHING`,
		b.shard, ch.Version, storable(ch.Item, 1000), storable(ch.User, 1000), ch.Liked, undone,
		storable(reason.Error(), 10000))
	return failed("keep a dead letter", err)
}

// isText reports whether Postgres can hold s as text.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// storable is s as text of at most about most bytes.
func storable(s string, most int) string {
	if !isText(s) {
		s = strconv.Quote(s)
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
