package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// ServerFacts is what a Postgres server tells of itself.
type ServerFacts struct {
	Version                                  int  // as server_version_num: 150012 is 15.12
	Standby, ReadOnly                        bool // in recovery; new transactions may not write
	SynchronousCommit, Fsync, FullPageWrites string
	Encoding                                 string
	Connections                              int       // in use, by anybody
	MaxConnections                           int       // that this role may have in this database, less the reserved ones
	At                                       time.Time // its clock
}

// ServerFacts asks the server, as this connection's role, database and settings
// have it. Errors: like.ErrUnavailable.
func (l *Ledger) ServerFacts(ctx context.Context) (ServerFacts, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT current_setting('server_version_num')::int,
		       pg_is_in_recovery(),
		       current_setting('default_transaction_read_only')::boolean,
		       current_setting('synchronous_commit'),
		       current_setting('fsync'),
		       current_setting('full_page_writes'),
		       current_setting('server_encoding'),
		       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'),
		       -- least() leaves NULLs out: -1 says "no limit" of a role or database
		       least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
		             (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
		             (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())),
		       clock_timestamp()`)
	if err != nil {
		return ServerFacts{}, failed("ask the server", err)
	}
	facts, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ServerFacts])
	return facts, failed("ask the server", err)
}

// Shards is the number of shards that the ledger belongs to, 0 before the first
// start. It changes nothing. Errors: like.ErrUnavailable.
func (l *Ledger) Shards(ctx context.Context) (shards int, err error) {
	err = l.pool.QueryRow(ctx, `SELECT shards FROM layout`).Scan(&shards)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return shards, failed("read the number of shards", err)
}

// Troubles counts what an operator should know of, each up to 10,000.
type Troubles struct {
	DeadLetters           int       // that wait for a person, or for another try
	Repairs, Unrepaired   int       // findings of the last day
	Unclosed, Undelivered int       // windows and deliveries that are due for more than the grace
	Exhausted             int       // deliveries of the notifications that are kept
	Stuck                 int       // sagas
	Frozen                int       // items
	Revoking              int       // revocations that have not ended
	Checked               time.Time // when a shard was last reconciled wholly; 1970: never
}

// Troubles looks for them. Errors: like.ErrUnavailable.
func (l *Ledger) Troubles(ctx context.Context, grace time.Duration) (Troubles, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT (SELECT count(*)::int FROM (SELECT FROM dead_letters WHERE state IN ('open', 'retrying') LIMIT 10000) AS d),
		       r.repaired, r.unrepaired,
		       (SELECT count(*)::int FROM (SELECT FROM item_counts
		         WHERE closes_at < now() - $1::interval LIMIT 10000) AS n),
		       (SELECT count(*)::int FROM (SELECT FROM deliveries
		         WHERE state = 'pending' AND next_at < now() - $1::interval LIMIT 10000) AS p),
		       (SELECT count(*)::int FROM (SELECT FROM deliveries
		         WHERE state = 'exhausted' LIMIT 10000) AS e),
		       (SELECT count(*)::int FROM (SELECT FROM sagas WHERE state = 'stuck' LIMIT 10000) AS s),
		       (SELECT count(*)::int FROM (SELECT FROM frozen_items WHERE frozen LIMIT 10000) AS f),
		       (SELECT count(*)::int FROM revocations WHERE ended_at IS NULL),
		       coalesce((SELECT max(checked_at) FROM checks), 'epoch')
		  FROM (SELECT count(*) FILTER (WHERE repaired)::int AS repaired,
		               count(*) FILTER (WHERE NOT repaired)::int AS unrepaired
		          -- ids and times grow together; there is no index by time
		          FROM (SELECT repaired, at FROM repairs ORDER BY id DESC LIMIT 10000) AS last
		         WHERE at > now() - interval '1 day') AS r`, grace)
	if err != nil {
		return Troubles{}, failed("look for troubles", err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Troubles])
	return found, failed("look for troubles", err)
}
