package doctor_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/doctor"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // as the commands do
	privatetest.Main(m, privatetest.NoLeaks)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// defaults are the settings that a person gets who sets nothing but the stores.
func defaults(redisURL, postgresURL string) doctor.Settings {
	var s doctor.Settings
	s.RedisURL, s.PostgresURL = redisURL, postgresURL
	s.Shards, s.MaxPending, s.ReconcileFull = 16, 1<<16, 5*time.Minute
	s.Auth.Auth, s.Listen, s.InternalListen = "header", "127.0.0.1:8080", "127.0.0.1:9090"
	s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	return s
}

// want examines and expects of a check a level and a part of its text.
func want(t *testing.T, s doctor.Settings, check string, level doctor.Level, part string) {
	t.Helper()
	wantAt(t, s, time.Now, check, level, part)
}

func wantAt(t *testing.T, s doctor.Settings, now func() time.Time, check string, level doctor.Level, part string) {
	t.Helper()
	report, err := doctor.Examine(t.Context(), s, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Check != check {
			continue
		}
		if f.Level != level || !strings.Contains(f.Found, part) || (level == doctor.OK) != (f.Fix == "") {
			t.Errorf("%+v, want %s and %q", f, level, part)
		}
		return
	}
	t.Errorf("no finding on %s in %+v", check, report.Findings)
}

func connect(t *testing.T, r *private.Redis) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func migrated(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = privatetest.Postgres(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := ledger.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return url, pool
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// away is an address where nothing listens.
const (
	awayRedis    = "redis://127.0.0.1:1/0"
	awayPostgres = "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable"
)

func TestAStoreThatIsAwayIsAFindingAndTheOtherIsStillChecked(t *testing.T) {
	r := privatetest.Redis(t)
	want(t, defaults(r.URL(), awayPostgres), "postgres.reach", doctor.Wrong, "connection refused")
	want(t, defaults(r.URL(), awayPostgres), "redis.eviction", doctor.OK, "noeviction")
	want(t, defaults(r.URL(), awayPostgres), "worker", doctor.Warning, "none runs")
	url, _ := migrated(t)
	want(t, defaults(awayRedis, url), "redis.reach", doctor.Wrong, "connection refused")
	want(t, defaults(awayRedis, url), "shards.setting", doctor.OK, "16")
}

func TestAStoreThatNeverAnswersDoesNotHoldTheDoctorUp(t *testing.T) {
	r := privatetest.Redis(t)
	proxy := privatetest.NewProxy(t, strings.TrimSuffix(strings.TrimPrefix(r.URL(), "redis://"), "/0"))
	proxy.DropReplies(true)
	began := time.Now()
	want(t, defaults("redis://"+proxy.Addr(), awayPostgres), "redis.reach", doctor.Wrong, "")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestFindingsHoldNoPassword(t *testing.T) {
	report, err := doctor.Examine(t.Context(), defaults("redis://u:hunter2@127.0.0.1:1/0", awayPostgres), time.Now)
	check(t, err)
	var b strings.Builder
	check(t, report.Write(&b))
	if strings.Contains(b.String(), "hunter2") || report.Wrong != 2 {
		t.Error(b.String())
	}
}

func TestEachFaultOfRedisIsSeenAndGoesAgain(t *testing.T) {
	r := privatetest.Redis(t)
	rdb := connect(t, r)
	for _, fault := range []struct {
		name, bad, good, check string
		level                  doctor.Level
		part                   string
	}{
		{"maxmemory-policy", "allkeys-lru", "noeviction", "redis.eviction", doctor.Wrong, "drops"},
		{"maxmemory-policy", "volatile-ttl", "noeviction", "redis.promise", doctor.Wrong, "UNSAFE"},
		{"appendfsync", "everysec", "always", "redis.promise", doctor.Warning, "the last second"},
		{"appendfsync", "no", "always", "redis.promise", doctor.Wrong, "half a minute"},
		{"appendonly", "no", "yes", "redis.promise", doctor.Wrong, "loses acknowledged likes"},
		{"no-appendfsync-on-rewrite", "yes", "no", "redis.rewrite", doctor.Warning, "power loss"},
		{"timeout", "60", "0", "redis.timeout", doctor.Warning, "closes idle connections"},
		{"maxclients", "100", "10000", "redis.clients", doctor.Warning, "of maxclients 100"},
		{"maxmemory", "0", "400mb", "redis.memory", doctor.Warning, "(none)"},
	} {
		check(t, rdb.ConfigSet(t.Context(), fault.name, fault.bad).Err())
		want(t, defaults(r.URL(), awayPostgres), fault.check, fault.level, fault.part)
		check(t, rdb.ConfigSet(t.Context(), fault.name, fault.good).Err())
		want(t, defaults(r.URL(), awayPostgres), fault.check, doctor.OK, "")
	}
}

func TestWhatSavesMemoryIsToldAndNoFault(t *testing.T) {
	r := privatetest.Redis(t)
	want(t, defaults(r.URL(), awayPostgres), "redis.intsets", doctor.OK, "4096 saves memory")
	check(t, connect(t, r).ConfigSet(t.Context(), "set-max-intset-entries", "4096").Err())
	want(t, defaults(r.URL(), awayPostgres), "redis.intsets", doctor.OK, "up to 4096 members")
}

func TestTheBoundMustFitIntoRedisMemory(t *testing.T) {
	r := privatetest.Redis(t)
	check(t, connect(t, r).ConfigSet(t.Context(), "maxmemory", "100mb").Err())
	s := defaults(r.URL(), awayPostgres)
	for bound, level := range map[int64]doctor.Level{0: doctor.OK, 70 << 20: doctor.OK, 90 << 20: doctor.Warning, 200 << 20: doctor.Wrong, 1000: doctor.Warning} {
		s.ResidentMaxBytes = bound
		want(t, s, "redis.memory", level, "maxmemory 100 MiB")
	}
	check(t, connect(t, r).ConfigSet(t.Context(), "maxmemory", "0").Err())
	s.ResidentMaxBytes = 1 << 50
	want(t, s, "redis.memory", doctor.Wrong, "the machine has")
}

func TestAReplicaIsWrong(t *testing.T) {
	r := privatetest.Redis(t)
	check(t, connect(t, r).Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	want(t, defaults(r.URL(), awayPostgres), "redis.writes", doctor.Wrong, "it is a replica, of 127.0.0.1:1")
}

func TestASnapshotThatFailedIsSeen(t *testing.T) {
	r := privatetest.Redis(t)
	rdb := connect(t, r)
	check(t, os.RemoveAll(rdb.ConfigGet(t.Context(), "dir").Val()["dir"]))
	check(t, rdb.BgSave(t.Context()).Err())
	until := time.Now().Add(20 * time.Second)
	for !strings.Contains(rdb.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err") {
		if time.Now().After(until) {
			t.Fatal("the snapshot does not fail")
		}
		time.Sleep(5 * time.Millisecond)
	}
	want(t, defaults(r.URL(), awayPostgres), "redis.saves", doctor.Warning, "rdb_last_bgsave_status is err")
	check(t, rdb.ConfigSet(t.Context(), "save", "3600 1").Err())
	want(t, defaults(r.URL(), awayPostgres), "redis.writes", doctor.Wrong, "its last snapshot failed")
}

func TestWithoutCONFIGTheDoctorSaysWhatToLookAtByHand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := private.StartRedis(ctx, private.RedisOptions{Dir: t.TempDir(), Extra: []string{"--rename-command", "CONFIG", ""}})
	check(t, err)
	defer r.Kill()
	s := defaults(r.URL(), awayPostgres)
	want(t, s, "redis.config", doctor.Warning, "CONFIG is not allowed here")
	want(t, s, "redis.promise", doctor.Warning, "appendfsync unknown")
	want(t, s, "redis.eviction", doctor.OK, "noeviction")
}

func TestClocksThatAreApartAreSeen(t *testing.T) {
	r := privatetest.Redis(t)
	url, _ := migrated(t)
	for ahead, level := range map[time.Duration]doctor.Level{
		0: doctor.OK, 5 * time.Second: doctor.Warning, -5 * time.Second: doctor.Warning, 2 * time.Minute: doctor.Wrong, -2 * time.Minute: doctor.Wrong,
	} {
		now := func() time.Time { return time.Now().Add(-ahead) }
		wantAt(t, defaults(r.URL(), url), now, "clock.redis", level, "this machine's")
		wantAt(t, defaults(r.URL(), url), now, "clock.postgres", level, "this machine's")
	}
}
