package doctor

import (
	"context"
	"fmt"
	"time"

	"plusone/tasks/ledger"
)

// poolConns is how many connections one plusone process may open.
const poolConns = 24

func (e *exam) postgresServer(ctx context.Context) {
	var f ledger.ServerFacts
	if !e.ask(ctx, "postgres.settings", func(ctx context.Context) (err error) {
		f, err = e.ledger.ServerFacts(ctx)
		return err
	}) {
		return
	}
	e.report.add(postgresVersion(f, e.now()), postgresWrites(f))
	e.report.add(durability(f)...)
	e.report.add(encoding(f), connections(f))
	var schema error
	if !e.ask(ctx, "postgres.schema", func(ctx context.Context) error {
		schema = e.ledger.CheckSchema(ctx)
		return ctx.Err()
	}) {
		return
	}
	if e.schema = schema == nil; !e.schema {
		e.report.add(wrong("postgres.schema", "plusone migrate", "%v", schema))
		return
	}
	e.report.add(ok("postgres.schema", "fits this plusone"))
}

// ends are the last days of Postgres' major versions, as postgresql.org/support/versioning says.
var ends = map[int]time.Time{
	13: time.Date(2025, time.November, 13, 0, 0, 0, 0, time.UTC),
	14: time.Date(2026, time.November, 12, 0, 0, 0, 0, time.UTC),
	15: time.Date(2027, time.November, 11, 0, 0, 0, 0, time.UTC),
	16: time.Date(2028, time.November, 9, 0, 0, 0, 0, time.UTC),
	17: time.Date(2029, time.November, 8, 0, 0, 0, 0, time.UTC),
	18: time.Date(2030, time.November, 14, 0, 0, 0, 0, time.UTC),
}

func postgresVersion(f ledger.ServerFacts, now time.Time) Finding {
	const check, upgrade = "postgres.version", "upgrade to a Postgres that gets fixes"
	major := f.Version / 10000
	text := fmt.Sprintf("Postgres %d.%d", major, f.Version%10000)
	end, known := ends[major]
	switch {
	case major < 13:
		return wrong(check, upgrade, "%s lacks functions that the schema uses (gen_random_uuid)", text)
	case known && now.After(end):
		return warning(check, upgrade, "%s gets no fixes since %s", text, end.Format(time.DateOnly))
	}
	return ok(check, "%s", text)
}

func postgresWrites(f ledger.ServerFacts) Finding {
	const check, primary = "postgres.writes", "point --postgres-url at the primary"
	switch {
	case f.Standby:
		return wrong(check, primary, "it is a standby, or still recovering: nothing can be kept there, likes wait in Redis")
	case f.ReadOnly:
		return wrong(check, "ALTER DATABASE … SET default_transaction_read_only = off, or the role's setting", "transactions are read-only: nothing can be kept there, likes wait in Redis")
	}
	return ok(check, "a primary that takes writes")
}

// durability: an entry leaves Redis' log once its transaction has committed, so
// a commit that a crash takes back is lost on both sides.
func durability(f ledger.ServerFacts) []Finding {
	all := make([]Finding, 0, 3)
	if f.SynchronousCommit == "off" {
		all = append(all, wrong("postgres.commit", "ALTER DATABASE … SET synchronous_commit = on (and look at the role's and the URL's settings)",
			"synchronous_commit off: a crash of Postgres takes back the last changes after Redis has forgotten them: unlikes come back, likes wait for a repair"))
	} else {
		all = append(all, ok("postgres.commit", "synchronous_commit %s: what has left Redis' log survives a crash of Postgres", f.SynchronousCommit))
	}
	if f.Fsync == "off" {
		all = append(all, wrong("postgres.fsync", "fsync = on in postgresql.conf, then reload", "fsync off: a power loss may destroy the database and every like in it"))
	} else {
		all = append(all, ok("postgres.fsync", "fsync on"))
	}
	if f.FullPageWrites == "off" {
		return append(all, warning("postgres.pages", "full_page_writes = on in postgresql.conf, then reload",
			"full_page_writes off: a power loss may destroy pages, unless the file system writes them whole"))
	}
	return append(all, ok("postgres.pages", "full_page_writes on"))
}

func encoding(f ledger.ServerFacts) Finding {
	if f.Encoding != "UTF8" {
		return wrong("postgres.encoding", "dump, create the database again with ENCODING 'UTF8' TEMPLATE template0, restore",
			"encoding %s: ids that it cannot hold become dead letters", f.Encoding)
	}
	return ok("postgres.encoding", "UTF8")
}

// connections leaves doctor's own one out.
func connections(f ledger.ServerFacts) Finding {
	if free := f.MaxConnections - f.Connections + 1; free < poolConns {
		return warning("postgres.connections", "raise max_connections, or set pool_max_conns in --postgres-url",
			"%d of %d are free; a process may want %d: drains and cold items wait for each other", free, f.MaxConnections, poolConns)
	}
	return ok("postgres.connections", "%d of %d in use, a process wants up to %d", f.Connections, f.MaxConnections, poolConns)
}
