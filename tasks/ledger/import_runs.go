package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ImportRun is how far a source has been brought in. Rows of it that come behind may be
// in, too.
type ImportRun struct {
	Source  string // tells it from others
	Name    string // for people
	Started time.Time
	Records int64  // from the beginning of the source; all are dealt with
	Place   string // where a query goes on
	Rejects int64  // length of the file of rejects, in bytes

	Brought, Kept, Rejected int64 // records that made or changed a row, that left one as it is, and others
}

// ImportTurn is the right to bring one source in, on a connection of its own. It is not
// safe for concurrent use.
type ImportTurn struct{ conn *pgxpool.Conn }

// TakeImport begins the run of a source, or takes up one that was cut off; anew begins in
// any case. Errors: ErrLocked while another process is at it, like.ErrUnavailable.
func (l *Ledger) TakeImport(ctx context.Context, source, name string, anew bool) (t *ImportTurn, run ImportRun, err error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, run, failed("take up an import", err)
	}
	t = &ImportTurn{conn: conn}
	if run, err = t.begin(ctx, source, name, anew); err != nil {
		t.Close(ctx)
		return nil, run, failed("take up an import", err)
	}
	return t, run, nil
}

func (t *ImportTurn) begin(ctx context.Context, source, name string, anew bool) (run ImportRun, err error) {
	var free bool
	err = t.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, $2))`, source, importLocks).Scan(&free)
	if err == nil && !free {
		err = ErrLocked
	}
	if err != nil {
		return run, err
	}
	_, err = t.conn.Exec(ctx, `DELETE FROM imports WHERE source = $1 AND (done OR $2)`, source, anew)
	if err != nil {
		return run, err
	}
	run = ImportRun{Source: source, Name: name}
	err = t.conn.QueryRow(ctx, `
		SELECT started_at, records, place, rejects, brought, kept, rejected FROM imports WHERE source = $1`, source,
	).Scan(&run.Started, &run.Records, &run.Place, &run.Rejects, &run.Brought, &run.Kept, &run.Rejected)
	if errors.Is(err, pgx.ErrNoRows) {
		err = t.conn.QueryRow(ctx, `
			INSERT INTO imports (source, name) VALUES ($1, $2) RETURNING started_at`, source, storable(name, 1000)).Scan(&run.Started)
	}
	return run, err
}

// Note keeps how far the run is; done ends it.
func (t *ImportTurn) Note(ctx context.Context, r ImportRun, done bool) error {
	_, err := t.conn.Exec(ctx, `
		UPDATE imports
		   SET at = now(), records = $2, place = $3, rejects = $4, brought = $5, kept = $6, rejected = $7, done = $8
		 WHERE source = $1`, r.Source, r.Records, r.Place, r.Rejects, r.Brought, r.Kept, r.Rejected, done)
	return failed("note how far an import is", err)
}

// Close gives the right back.
func (t *ImportTurn) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if _, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
		_ = t.conn.Conn().Close(ctx) // which ends it, too
	}
	t.conn.Release()
}
