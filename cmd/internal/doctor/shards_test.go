package doctor_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/doctor"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

// pair is both stores, with a layout of 16 shards.
func pair(t *testing.T) (doctor.Settings, *redis.Client, *pgxpool.Pool) {
	t.Helper()
	r := privatetest.Redis(t)
	where, pool := migrated(t)
	_, err := ledger.New(pool).Layout(t.Context(), 16)
	check(t, err)
	return defaults(r.URL(), where), connect(t, r), pool
}

func version(t *testing.T, at time.Time) like.Version {
	t.Helper()
	v, err := like.ParseVersion(strconv.FormatInt(at.UnixMilli(), 10) + "-0")
	check(t, err)
	return v
}

func TestANumberOfShardsThatIsNotTheStoredOneIsWrong(t *testing.T) {
	s, rdb, _ := pair(t)
	want(t, s, "shards.setting", doctor.OK, "16, as the ledger has")
	s.Shards = 32
	want(t, s, "shards.setting", doctor.Wrong, "the ledger has 16")
	want(t, s, "shards.redis", doctor.OK, "0 of 16 are open")
	s.Shards = 16

	open := func(shards string) { check(t, rdb.HSet(t.Context(), "p1:{3}:meta", "shards", shards).Err()) }
	open("16")
	want(t, s, "shards.redis", doctor.OK, "1 of 16 are open")
	open("moved to 16") // the end of a change
	want(t, s, "shards.redis", doctor.OK, "0 of 16 are open")
	for _, other := range []string{"8", "moving to 8", "moved to 8", "moving to 16"} {
		open(other)
		want(t, s, "shards.redis", doctor.Wrong, "shard 3 of Redis is for another number of shards")
	}
}

func TestBeforeTheFirstStartTheShardsAreFine(t *testing.T) {
	where, pool := migrated(t)
	want(t, defaults(awayRedis, where), "shards.setting", doctor.OK, "the first start fixes the number")
	shards, err := ledger.New(pool).Shards(t.Context())
	if err != nil || shards != 0 {
		t.Errorf("the doctor has made a layout of %d shards, %v", shards, err)
	}
}

func TestALogThatIsNotDrainedIsSeen(t *testing.T) {
	s, rdb, pool := pair(t)
	want(t, s, "log.drained", doctor.OK, "0 shards")
	add := func(id, field, text string) {
		check(t, rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "p1:{3}:log", ID: id, Values: []string{field, text}}).Err())
	}
	add("0-1", "m", "open") // a new shard's marker is as old as time, but nobody waits for it
	want(t, s, "log.drained", doctor.OK, "0 shards")
	add(version(t, time.Now().Add(-time.Hour)).String(), "d", "page +alice")
	want(t, s, "log.drained", doctor.Warning, "1 shards hold likes that Postgres lacks, the oldest for 1h0m")

	s.MaxPending = 3
	want(t, s, "log.length", doctor.Warning, "holds 2 entries")
	s.MaxPending = 2
	want(t, s, "log.length", doctor.Wrong, "its likes are refused")
	s.MaxPending = 100
	want(t, s, "log.length", doctor.OK, "at most 2 entries")

	execute(t, pool, "UPDATE watermarks SET version = $1, floor = $1 WHERE shard = 3", version(t, time.Now()))
	want(t, s, "log.drained", doctor.OK, "0 shards")
	want(t, s, "log.watermarks", doctor.Warning, "1 of 16 logs end before what Postgres has")
	check(t, rdb.HSet(t.Context(), "p1:{3}:meta", "shards", "moved to 16").Err())
	want(t, s, "log.watermarks", doctor.OK, "")
}

func TestDamagedKeysAreAFinding(t *testing.T) {
	s, rdb, _ := pair(t)
	check(t, rdb.Set(t.Context(), "p1:{5}:meta", "x", 0).Err())
	want(t, s, "shards.redis", doctor.Wrong, "WRONGTYPE")
	check(t, rdb.Del(t.Context(), "p1:{5}:meta").Err())
	check(t, rdb.Set(t.Context(), "p1:{5}:log", "x", 0).Err())
	want(t, s, "shards.redis", doctor.Wrong, "WRONGTYPE")
}

func TestWhatTheLedgerHasNotedIsTold(t *testing.T) {
	s, _, pool := pair(t)
	for _, quiet := range []string{"ledger.dead_letters", "ledger.repairs", "notifications"} {
		want(t, s, quiet, doctor.OK, "")
	}
	want(t, s, "reconciler", doctor.Warning, "nobody has ever compared")
	for _, trouble := range []struct{ sql, check, part string }{
		{`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
		  VALUES (1, 1, 'i', 'u', true, true, 'bad')`, "ledger.dead_letters", "1 changes"},
		{`INSERT INTO repairs (run, item_id, side, before, after, cause, repaired)
		  VALUES ('r', 'i', 'counter', '', '', 'c', true), ('r', 'i', 'counter', '', '', 'c', false)`, "ledger.repairs", "1 differences were repaired and 1 found but not repaired"},
		{`INSERT INTO checks (shard, checked_at) VALUES (0, now() - interval '2 hours')`, "reconciler", "2h0m"},
		{`INSERT INTO item_counts (item_id, bucket, delta, closes_at) VALUES ('i', 0, 1, now() - interval '1 hour')`, "notifications", "1 windows and 0 deliveries"},
		{`WITH n AS (INSERT INTO notifications (item_id, delta, closes_at, closed_at, seq) VALUES ('i', 1, now(), now(), 7) RETURNING seq)
		  INSERT INTO deliveries (seq, receiver, next_at) SELECT seq, 'r', now() - interval '1 hour' FROM n`, "notifications", "1 windows and 1 deliveries"},
	} {
		execute(t, pool, trouble.sql)
		want(t, s, trouble.check, doctor.Warning, trouble.part)
	}
	want(t, s, "writes", doctor.OK, "to Redis")
	execute(t, pool, `UPDATE modes SET writes_to = 'ledger', since = now()`)
	want(t, s, "writes", doctor.Warning, "straight to Postgres")
	execute(t, pool, `UPDATE item_counts SET closes_at = NULL`)
	execute(t, pool, `UPDATE deliveries SET state = 'exhausted'`)
	want(t, s, "notifications", doctor.Warning, "1 deliveries were given up")
	execute(t, pool, `UPDATE repairs SET at = now() - interval '2 days'`)
	want(t, s, "ledger.repairs", doctor.OK, "")
	execute(t, pool, `UPDATE checks SET checked_at = now()`)
	want(t, s, "reconciler", doctor.OK, "")
}
