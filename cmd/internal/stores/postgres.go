package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PostgresOptions bound a pool, unless the URL says otherwise (pool_max_conns,
// statement_timeout).
type PostgresOptions struct {
	Conns int32 // the most connections
	Long  bool  // statements may take as long as they need: for migrations
}

// CheckPostgresURL tells whether a Postgres can be asked for by this URL; nobody is asked.
func CheckPostgresURL(url string) error {
	_, err := parsePostgres(url)
	return err
}

// parsePostgres reads a URL. The library's errors hide the password.
func parsePostgres(url string) (*pgxpool.Config, error) {
	o, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, tell(ErrURL, fmt.Sprint("--postgres-url is not of the form postgres://user:password@host:port/database: ", err))
	}
	return o, nil
}

// OpenPostgres connects to Postgres.
func OpenPostgres(ctx context.Context, url string, opts PostgresOptions) (*pgxpool.Pool, error) {
	o, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		o.MaxConns = opts.Conns
	}
	o.ConnConfig.ConnectTimeout = dialTime
	setDefault(o.ConnConfig.RuntimeParams, "application_name", "plusone")
	setDefault(o.ConnConfig.RuntimeParams, "jit", "off") // our statements are short, or the same again and again
	if !opts.Long {
		setDefault(o.ConnConfig.RuntimeParams, "statement_timeout", statementTime)
		setDefault(o.ConnConfig.RuntimeParams, "idle_in_transaction_session_timeout", statementTime)
	}
	pool, err := pgxpool.NewWithConfig(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open Postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, postgresAway(o, err)
	}
	return pool, nil
}

// postgresAway says why Postgres can't be used, and what to do.
func postgresAway(o *pgxpool.Config, err error) error {
	server, at, words := new(pgconn.PgError), PostgresAddr(o), Words(err)
	if !errors.As(err, &server) {
		return tell(ErrAway, fmt.Sprintf("Postgres at %s can't be reached: %s; is it running, and is --postgres-url right?", at, words), err)
	}
	todo := ""
	switch server.Code {
	case "28000", "28P01":
		todo = "; are user and password in --postgres-url right?"
	case "3D000":
		todo = "; create it, or correct --postgres-url"
	case "53300":
		todo = "; raise its max_connections, or set pool_max_conns in --postgres-url"
	case "57P03":
		todo = "; try again in a moment"
	}
	return tell(err, fmt.Sprintf("Postgres at %s refuses: %s%s", at, words, todo))
}

// PostgresAddr is host:port, for people to read.
func PostgresAddr(o *pgxpool.Config) string {
	return net.JoinHostPort(o.ConnConfig.Host, strconv.Itoa(int(o.ConnConfig.Port)))
}

func setDefault(params map[string]string, name, value string) {
	if params[name] == "" {
		params[name] = value
	}
}
