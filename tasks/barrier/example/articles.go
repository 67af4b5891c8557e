package example

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/tasks/barrier"
	"plusone/tasks/barrier/pgbarrier"
)

const articlesSchema = `
CREATE TABLE IF NOT EXISTS articles (
	item   text    PRIMARY KEY,
	likes  bigint  NOT NULL DEFAULT 0, -- how many of article_likes are liked
	closed boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS article_likes (
	item    text    NOT NULL,
	user_id text    NOT NULL,
	liked   boolean NOT NULL,
	saga    text    NOT NULL, -- that made it so; '' when that was compensated
	PRIMARY KEY (item, user_id)
);`

// Articles counts likes of articles.
type Articles struct {
	pool    *pgxpool.Pool
	barrier pgbarrier.Barrier
}

// NewArticles makes the tables where there are none.
func NewArticles(ctx context.Context, pool *pgxpool.Pool) (*Articles, error) {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// First: it makes processes that start at once wait for each other.
		if err := pgbarrier.Install(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, articlesSchema)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("articles: make the tables: %w", err)
	}
	return &Articles{pool, pgbarrier.New("articles")}, nil
}

// Do is a barrier.Do.
func (a *Articles) Do(ctx context.Context, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	work := like
	if step == barrier.Compensate {
		work = takeBack
	}
	return a.barrier.Run(ctx, a.pool, step, ops, work)
}

// like makes the pairs of ops what their users want.
func like(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
	closed, err := hold(ctx, tx, ops)
	if err != nil {
		return nil, err
	}
	answers := make([]barrier.Answer, len(ops))
	pairs := map[[2]string]bool{}
	var do columns
	for i, op := range ops {
		pair := [2]string{op.Item, op.User}
		switch {
		case closed[op.Item]:
			answers[i] = op.Rejected("the article is closed")
		case pairs[pair]: // plusone sends no two at once, and a statement changes a row once
			answers[i] = op.Retry("its pair is busy")
		default:
			answers[i], pairs[pair] = op.Done(), true
			do.add(op)
		}
	}
	_, err = tx.Exec(ctx, likeSQL, do.items, do.users, do.liked, do.sagas)
	return answers, err
}

// takeBack turns those pairs round that a saga of ops has turned: a saga that found
// its pair as it wanted it has changed nothing, and takes nothing back.
func takeBack(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
	if _, err := hold(ctx, tx, ops); err != nil {
		return nil, err
	}
	answers := make([]barrier.Answer, len(ops))
	var undo columns
	for i, op := range ops {
		answers[i] = op.Done()
		undo.add(op)
	}
	_, err := tx.Exec(ctx, takeBackSQL, undo.items, undo.users, undo.sagas)
	return answers, err
}

// hold keeps the articles of ops from others until the end of tx, in the order in
// which all transactions take them, and tells which take no likes. So none is closed
// behind a like's back, and whoever comes to a pair holds its article.
func hold(ctx context.Context, tx pgx.Tx, ops []barrier.Op) (closed map[string]bool, err error) {
	items := make([]string, len(ops))
	for i, op := range ops {
		items[i] = op.Item
	}
	rows, err := tx.Query(ctx, holdSQL, items)
	if err != nil {
		return nil, err
	}
	closed = map[string]bool{}
	var item string
	var is bool
	_, err = pgx.ForEachRow(rows, []any{&item, &is}, func() error {
		closed[item] = is
		return nil
	})
	return closed, err
}

// columns are ops as a statement takes them.
type columns struct {
	items, users, sagas []string
	liked               []bool
}

func (c *columns) add(op barrier.Op) {
	c.items, c.users, c.sagas = append(c.items, op.Item), append(c.users, op.User), append(c.sagas, op.Saga)
	c.liked = append(c.liked, op.Liked)
}

const (
	holdSQL = `
INSERT INTO articles AS a (item) SELECT DISTINCT item FROM unnest($1::text[]) AS q (item) ORDER BY item
ON CONFLICT (item) DO UPDATE SET likes = a.likes RETURNING item, closed`

	likeSQL = `
WITH q AS (SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[]) AS q (item, user_id, liked, saga)),
up AS (
	INSERT INTO article_likes AS l (item, user_id, liked, saga)
	SELECT item, user_id, true, saga FROM q WHERE liked ORDER BY item, user_id
	ON CONFLICT (item, user_id) DO UPDATE SET liked = true, saga = EXCLUDED.saga WHERE NOT l.liked
	RETURNING item, 1 AS by),
down AS (
	UPDATE article_likes l SET liked = false, saga = q.saga FROM q
	 WHERE l.item = q.item AND l.user_id = q.user_id AND l.liked AND NOT q.liked
	RETURNING l.item, -1 AS by)
UPDATE articles a SET likes = likes + by
  FROM (SELECT item, sum(by) AS by FROM (SELECT * FROM up UNION ALL SELECT * FROM down) AS q GROUP BY item) AS moved
 WHERE a.item = moved.item`

	takeBackSQL = `
WITH back AS (
	UPDATE article_likes l SET liked = NOT l.liked, saga = ''
	  FROM unnest($1::text[], $2::text[], $3::text[]) AS q (item, user_id, saga)
	 WHERE l.item = q.item AND l.user_id = q.user_id AND l.saga = q.saga
	RETURNING l.item, CASE WHEN l.liked THEN 1 ELSE -1 END AS by)
UPDATE articles a SET likes = likes + by
  FROM (SELECT item, sum(by) AS by FROM back GROUP BY item) AS moved
 WHERE a.item = moved.item`
)
