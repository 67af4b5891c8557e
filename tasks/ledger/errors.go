package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"plusone/hotpath/like"
)

// What the ledger reports beside the errors of package like.
var (
	// ErrRefused: Postgres refused the data itself (a constraint, a trigger, text
	// that it cannot hold). Repeating the same rows fails again.
	ErrRefused = errors.New("the ledger refuses the data")
	// ErrLocked: another transaction drains this shard.
	ErrLocked = errors.New("the shard is being drained elsewhere")
	// ErrOldSchema: the tables are older than this binary needs.
	ErrOldSchema = errors.New("the ledger's schema is too old")
	// ErrShardsDiffer: the ledger belongs to another number of shards.
	ErrShardsDiffer = errors.New("the number of shards differs from the ledger's")
)

// failed names what was attempted and says of which kind err is; nil stays nil.
func failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isAway(err):
		return fmt.Errorf("ledger: %s: %w: %w", what, like.ErrUnavailable, err)
	case isRefusal(err):
		return fmt.Errorf("ledger: %s: %w: %w", what, ErrRefused, err)
	default:
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
}

// isRefusal reports whether the data is to blame: SQLSTATE classes 22 (data
// exception), 23 (integrity constraint), 54 (too large) and P0 (raised by a
// function).
func isRefusal(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch class(pg) {
	case "22", "23", "54", "P0":
		return true
	}
	return false
}

// isAway reports whether the same call may succeed later without a change of
// data, schema or program.
func isAway(err error) bool {
	var (
		connect *pgconn.ConnectError
		pg      *pgconn.PgError
		network net.Error
	)
	switch {
	case errors.As(err, &connect):
		return true
	case errors.As(err, &pg):
		return awayCode(pg)
	}
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// awayCode: connection exception, rollback by a conflict, resources, operator
// intervention and system error; a lock not to be had; a server that became a
// read-only standby.
func awayCode(pg *pgconn.PgError) bool {
	switch class(pg) {
	case "08", "40", "53", "57", "58":
		return true
	}
	return pg.Code == lockNotAvailable || pg.Code == "25006"
}

const lockNotAvailable = "55P03"

func class(pg *pgconn.PgError) string { return pg.Code[:min(2, len(pg.Code))] }
