package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Exported is a like, or a vote: then User is empty.
type Exported struct {
	Item, User string
	Ref        string
	Weight     int64
	At         time.Time
}

// ExportPlace is where an export has got to: the zero one is before the first row. By is
// a user, or the ref of a vote.
type ExportPlace struct {
	Item string `json:"item"`
	By   string `json:"by"`
}

// Export calls yield with all likes, or with all votes that count, behind a place: in the
// order of items, then of users or refs, and all of one moment, whose watermarks it tells
// first. It stops at the first error of yield and returns it as it is. Other errors:
// like.ErrUnavailable.
func (l *Ledger) Export(ctx context.Context, votes bool, after ExportPlace, begin func(map[int]like.Version) error, yield func(Exported) error) error {
	return l.AtOnce(ctx, func(m *Moment) error {
		marks, err := versions(m.tx.Query(ctx, `SELECT shard, version FROM watermarks`))
		if err != nil {
			return failed("read watermarks", err)
		}
		if err := begin(marks); err != nil {
			return err
		}
		sql := `
			SELECT item_id, user_id, '', 0, version FROM likes
			 WHERE liked AND (item_id, user_id) > ($1, $2) ORDER BY item_id, user_id`
		if votes {
			sql = `
			SELECT item_id, '', ref, weight, version FROM votes
			 WHERE counted AND (item_id, ref) > ($1, $2) ORDER BY item_id, ref`
		}
		rows, err := m.tx.Query(ctx, sql, after.Item, after.By)
		if err != nil {
			return failed("export", err)
		}
		return exportRows(rows, yield)
	})
}

func exportRows(rows pgx.Rows, yield func(Exported) error) error {
	defer rows.Close()
	var e Exported
	var version like.Version
	for rows.Next() {
		if err := rows.Scan(&e.Item, &e.User, &e.Ref, &e.Weight, &version); err != nil {
			return failed("export", err)
		}
		e.At = version.Time()
		if err := yield(e); err != nil {
			return err
		}
	}
	return failed("export", rows.Err())
}
