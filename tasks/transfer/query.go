package transfer

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Query reads records of another Postgres, which it only reads. It is not safe for
// concurrent use.
type Query struct {
	conn  *pgx.Conn
	rows  pgx.Rows
	at    [columns]int
	key   int // column by which rows are sorted, -1: none
	n     int64
	place string
}

// OpenQuery asks the Postgres at url. With a key, which names a column, rows come in its
// order, those from `from` on; without one in any order.
func OpenQuery(ctx context.Context, url, query, key, from string, m Mapping) (*Query, error) {
	o, err := pgx.ParseConfig(url) // its errors hide the password
	if err != nil {
		return nil, fmt.Errorf("--from-postgres is not of the form postgres://user:password@host:port/database: %w", err)
	}
	for name, value := range map[string]string{
		"application_name": "plusone import", "datestyle": "ISO", "timezone": "UTC", "default_transaction_read_only": "on",
	} {
		o.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("reach the Postgres of --from-postgres: %w", err)
	}
	q := &Query{conn: conn, key: -1}
	if err := q.ask(ctx, query, key, from, m); err != nil {
		q.Close(ctx)
		return nil, err
	}
	return q, nil
}

func (q *Query) ask(ctx context.Context, query, key, from string, m Mapping) (err error) {
	sql, args := "SELECT q.* FROM ("+strings.TrimRight(strings.TrimSpace(query), ";")+"\n) AS q", []any{pgx.QueryResultFormats{pgx.TextFormatCode}}
	if column := "q." + (pgx.Identifier{key}).Sanitize(); key != "" {
		if from != "" {
			sql, args = sql+" WHERE "+column+" >= $1 OR "+column+" IS NULL", append(args, from)
		}
		sql += " ORDER BY " + column
	}
	if q.rows, err = q.conn.Query(ctx, sql, args...); err != nil {
		return fmt.Errorf("--query: %w", err)
	}
	names := make([]string, 0, columns)
	for _, f := range q.rows.FieldDescriptions() {
		names = append(names, f.Name)
	}
	if key != "" {
		if q.key = find(names, []string{key}); q.key < 0 {
			return fmt.Errorf("%w: --query yields no column %q", ErrMapping, key)
		}
	}
	q.at, err = m.named(names)
	return err
}

// Next implements Source.
func (q *Query) Next() (Record, error) {
	if !q.rows.Next() {
		if err := q.rows.Err(); err != nil {
			return Record{}, fmt.Errorf("--query: %w", err)
		}
		return Record{}, io.EOF
	}
	q.n++
	values := q.rows.RawValues()
	if q.key >= 0 {
		q.place = string(values[q.key])
	}
	var fields [columns]string
	for c, i := range q.at {
		if i >= 0 {
			fields[c] = string(values[i])
		}
	}
	r, err := record(q.n, fields)
	if err != nil {
		return Record{}, &Reject{q.n, err.Error(), strings.Join(fields[:], ",")}
	}
	return r, nil
}

// Place implements Source.
func (q *Query) Place() string { return q.place }

// Close ends the query, also in the middle.
func (q *Query) Close(ctx context.Context) {
	_ = q.conn.Close(ctx) // nothing was written
}
