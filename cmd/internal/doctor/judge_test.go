package doctor

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/stores"
	"plusone/tasks/ledger"
)

func TestVersionsWithoutAFixAreKnown(t *testing.T) {
	for text, want := range map[string]int{
		"7.0.15": 7, "7.2.0": 8, "7.4.6": 3, "7.4.11": 0, "6.2.20": 2, "6.2.24": 0, "8.0.3": 4, "8.2.9": 0,
		"8.10.1": 0, "8.10.0": 1, "8.12.0": 0, "9.0.0": 0, "7.2.15": 1,
	} {
		v, ok := parseVersion(text)
		if got := lacking(v); !ok || len(got) != want {
			t.Errorf("%s lacks %v, want %d", text, got, want)
		}
	}
	for _, bad := range []string{"", "7", "7.0", "7.0.x"} {
		if _, ok := parseVersion(bad); ok {
			t.Errorf("%q is read as a version", bad)
		}
	}
}

func TestOldServersAreJudgedByTheirVersion(t *testing.T) {
	for text, want := range map[string]Level{"5.0.14": Wrong, "6.2.0": Warning, "7.0.0": OK, "8.2.1": OK, "": Warning} {
		e := &exam{facts: stores.Facts{Info: map[string]string{"redis_version": text}}}
		if f := e.redisVersion(); f.Level != want {
			t.Errorf("%s: %+v", text, f)
		}
	}
	now := time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)
	for number, want := range map[int]Level{120022: Wrong, 130022: Warning, 140020: Warning, 150018: OK, 190000: OK} {
		if f := postgresVersion(ledger.ServerFacts{Version: number}, now); f.Level != want {
			t.Errorf("%d: %+v", number, f)
		}
	}
}

// What a private server cannot be brought to, or must not.
func TestOneFactIsEnoughForAFinding(t *testing.T) {
	for _, c := range []struct {
		field string
		want  Level
	}{{"aof_last_write_status", Wrong}, {"loading", Wrong}, {"cluster_enabled", Wrong}, {"nothing", OK}} {
		e := &exam{facts: stores.Facts{Info: map[string]string{"role": "master", "aof_enabled": "1"}}}
		e.facts.Info[c.field] = map[string]string{"aof_last_write_status": "err"}[c.field]
		if e.facts.Info[c.field] == "" {
			e.facts.Info[c.field] = "1"
		}
		if f := e.redisWrites(); f.Level != c.want {
			t.Errorf("%s: %+v", c.field, f)
		}
	}
}

func TestARedisThatAnybodyReachesIsTold(t *testing.T) {
	for _, c := range []struct {
		url, bind, protected string
		want                 Level
	}{
		{"redis://127.0.0.1:6379", "127.0.0.1 -::1", "yes", OK},
		{"redis://127.0.0.1:6379", "127.0.0.1 -::1", "no", OK},
		{"redis://127.0.0.1:6379", "* -::*", "yes", OK},
		{"redis://127.0.0.1:6379", "* -::*", "no", Wrong},
		{"redis://127.0.0.1:6379", "", "no", Wrong},
		{"redis://:secret@127.0.0.1:6379", "* -::*", "no", OK},
		{"redis://10.0.0.1:6379", "", "", Wrong},
		{"redis://:secret@10.0.0.1:6379", "", "", Warning},
		{"rediss://:secret@10.0.0.1:6379", "", "", OK},
	} {
		config := map[string]string{"bind": c.bind, "protected-mode": c.protected}
		o, err := redis.ParseURL(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if f := redisAccess(o, config); f.Level != c.want {
			t.Errorf("%+v: %+v", c, f)
		}
	}
}

func TestAPostgresThatIsReachedWithoutTLSIsTold(t *testing.T) {
	for url, want := range map[string]Level{
		"postgres://u@127.0.0.1/x?sslmode=disable":      OK,
		"postgres://u@/x?host=/run/postgresql":          OK,
		"postgres://u@db.example/x?sslmode=disable":     Warning,
		"postgres://u@db.example/x?sslmode=prefer":      Warning,
		"postgres://u@db.example/x?sslmode=require":     Warning,
		"postgres://u@db.example/x?sslmode=verify-full": OK,
	} {
		o, err := pgxpool.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		if f := postgresTLS(o.ConnConfig); f.Level != want {
			t.Errorf("%s: %+v", url, f)
		}
	}
}
