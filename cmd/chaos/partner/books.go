package partner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"plusone/cmd/chaos/model"
)

// Compare tells where the books of the participants differ from what is liked, a
// line each, and how much there was to compare. Everything must be at rest.
func (ps *Partners) Compare(ctx context.Context, rows map[model.Pair]model.Row) (differs []string, compared int, err error) {
	liked, points, counts := map[model.Pair]bool{}, map[string]int64{}, map[string]int64{}
	for p, row := range rows {
		points[p.User] += 0 // named, also when nothing is left
		counts[p.Item] += 0
		if row.Liked {
			liked[p] = true
			points[p.User]++
			counts[p.Item]++
		}
	}
	for _, look := range []func() ([]string, error){
		func() ([]string, error) { return ps.articlesOf(ctx, liked) },
		func() ([]string, error) { return ps.countsOf(ctx, counts) },
		func() ([]string, error) { return ps.pointsOf(ctx, points) },
	} {
		found, err := look()
		if err != nil {
			return nil, 0, err
		}
		differs = append(differs, found...)
	}
	return differs, len(liked) + len(counts) + len(points), nil
}

func (ps *Partners) articlesOf(ctx context.Context, liked map[model.Pair]bool) (differs []string, err error) {
	rows, err := ps.pool.Query(ctx, `SELECT item, user_id FROM article_likes WHERE liked`)
	if err != nil {
		return nil, err
	}
	missing := maps.Clone(liked)
	var p model.Pair
	_, err = pgx.ForEachRow(rows, []any{&p.Item, &p.User}, func() error {
		if !liked[p] {
			differs = append(differs, fmt.Sprintf("articles has %s liked by %s, the ledger has not", p.Item, p.User))
		}
		delete(missing, p)
		return nil
	})
	for p := range missing {
		differs = append(differs, fmt.Sprintf("articles lacks that %s is liked by %s", p.Item, p.User))
	}
	return differs, err
}

func (ps *Partners) countsOf(ctx context.Context, counts map[string]int64) (differs []string, err error) {
	rows, err := ps.pool.Query(ctx, `SELECT item, likes FROM articles`)
	if err != nil {
		return nil, err
	}
	var item string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&item, &n}, func() error {
		if n != counts[item] {
			differs = append(differs, fmt.Sprintf("articles counts %d of %s, the ledger %d", n, item, counts[item]))
		}
		return nil
	})
	return differs, err
}

func (ps *Partners) pointsOf(ctx context.Context, points map[string]int64) (differs []string, err error) {
	for _, user := range slices.Sorted(maps.Keys(points)) {
		n, err := ps.points.Of(ctx, user)
		if err != nil {
			return nil, err
		}
		if n != points[user] {
			differs = append(differs, fmt.Sprintf("points gives %s %d, the ledger has %d likes", user, n, points[user]))
		}
	}
	return differs, nil
}
