package house

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"plusone/cmd/chaos/model"
	"plusone/hotpath/like"
)

// Stored reads all that both stores hold. They must be at rest.
func (h *House) Stored(ctx context.Context) (model.Stored, error) {
	s := model.Stored{Rows: map[model.Pair]model.Row{}, LedgerCounts: map[string]int64{}, Resident: map[string]model.ResidentItem{}}
	rows, err := h.Pool.Query(ctx, `SELECT item_id, user_id, liked, version FROM likes`)
	if err != nil {
		return s, err
	}
	var p model.Pair
	var row model.Row
	_, err = pgx.ForEachRow(rows, []any{&p.Item, &p.User, &row.Liked, &row.Version}, func() error { s.Rows[p] = row; return nil })
	if err != nil {
		return s, err
	}
	if rows, err = h.Pool.Query(ctx, `SELECT item_id, count FROM item_counts`); err != nil {
		return s, err
	}
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&p.Item, &n}, func() error { s.LedgerCounts[p.Item] = n; return nil })
	if err != nil {
		return s, err
	}
	return s, h.resident(ctx, s.Resident)
}

// Votes reads all votes that the ledger holds.
func (h *House) Votes(ctx context.Context) (map[model.Pair]model.VoteRow, error) {
	rows, err := h.Pool.Query(ctx, `SELECT item_id, ref, counted, weight, version FROM votes`)
	if err != nil {
		return nil, err
	}
	votes, p := map[model.Pair]model.VoteRow{}, model.Pair{}
	row := model.VoteRow{VoteIs: model.VoteIs{Known: true}}
	_, err = pgx.ForEachRow(rows, []any{&p.Item, &p.User, &row.Counted, &row.Weight, &row.Version}, func() error { votes[p] = row; return nil })
	return votes, err
}

// resident reads every item that Redis holds.
func (h *House) resident(ctx context.Context, into map[string]model.ResidentItem) error {
	for shard := range Shards {
		prefix := "p1:{" + strconv.Itoa(shard) + "}:"
		counts, err := h.Rdb.HGetAll(ctx, prefix+"counts").Result()
		if err != nil {
			return err
		}
		for item, count := range counts {
			users, err := h.Rdb.SMembers(ctx, prefix+"likers:"+item).Result()
			if err != nil {
				return err
			}
			into[item] = residentItem(count, users)
		}
	}
	return nil
}

// residentItem reads an item as Redis holds it: a member "%" marks one that is
// resident partly, "%" before a user one who is known not to like it.
func residentItem(count string, members []string) model.ResidentItem {
	r := model.ResidentItem{Count: count, Users: map[string]bool{}}
	for _, m := range members {
		user, not := strings.CutPrefix(m, "%")
		if user == "" {
			r.Partly = true
		} else {
			r.Users[user] = !not
		}
	}
	return r
}

// Version reads the version out of a receipt.
func Version(receipt string) (int64, error) {
	r, err := like.ParseReceipt(receipt)
	return int64(r.Version), err
}

// Findings are the lines that a healthy run must not leave in the ledger:
// repairs and dead letters.
func (h *House) Findings(ctx context.Context) ([]string, error) {
	rows, err := h.Pool.Query(ctx, `
		SELECT format('%s repair of %s/%s in the %s: %s to %s, repaired %s: %s', at, item_id, user_id, side, before, after, repaired, cause) FROM repairs
		UNION ALL
		SELECT format('%s dead letter %s/%s liked=%s: %s', at, item_id, user_id, liked, error) FROM dead_letters`)
	if err != nil {
		return nil, fmt.Errorf("look for repairs: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Connections counts the clients of Redis and of Postgres.
func (h *House) Connections(ctx context.Context) (redis, postgres int, err error) {
	text, err := h.Rdb.ClientList(ctx).Result()
	if err != nil {
		return 0, 0, err
	}
	for _, c := range text {
		if c == '\n' {
			redis++
		}
	}
	err = h.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'plusone'`).Scan(&postgres)
	return redis, postgres, err
}

// Sagas counts the sagas by state.
func (h *House) Sagas(ctx context.Context) (map[string]int, error) {
	rows, err := h.Pool.Query(ctx, `SELECT state, count(*) FROM sagas GROUP BY state`)
	if err != nil {
		return nil, err
	}
	states, state, n := map[string]int{}, "", 0
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error { states[state] = n; return nil })
	return states, err
}

// Agreed reports whether no saga is under way, and the logs are empty of what sagas
// have taken back.
func (h *House) Agreed(ctx context.Context) (bool, error) {
	states, err := h.Sagas(ctx)
	if err != nil || states["pending"]+states["compensating"]+states["stuck"] > 0 {
		return false, err
	}
	return h.Drained(ctx)
}
