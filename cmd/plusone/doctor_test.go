package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/doctor"
)

func examined(t *testing.T, code int, more ...[]string) doctor.Report {
	t.Helper()
	p := start(t, args("doctor", append(more, []string{"--json"})...)...)
	if got := p.end(t, 0); got != code {
		t.Errorf("doctor exits with %d, want %d", got, code)
	}
	text, _, _ := strings.Cut(p.said(), "plusone:") // what main says of a failure
	var report doctor.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return report
}

func TestTheDoctorAgreesWithReadyz(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	o, err := redis.ParseURL(stores[1])
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "400mb").Err(); err != nil {
		t.Fatal(err)
	}
	p := start(t, args("serve", stores, ports)...)
	wantLike(t, p.find(t, publicURL), "page", `"count":1`)
	inside := p.find(t, insideURL)

	eventually(t, "the doctor finds nothing but what the machine and the tests' Postgres lack", func() bool {
		for _, f := range examined(t, exitFailed, stores).Findings { // the tests' Postgres does not sync
			switch f.Check {
			case "redis.security", "redis.overcommit", "postgres.fsync", "postgres.pages":
				continue
			}
			if f.Level != doctor.OK {
				return false
			}
		}
		return true
	})
	for _, step := range []struct{ name, value, says string }{
		{"appendfsync", "always", "survive a crash and a power loss"},
		{"appendfsync", "everysec", "may cost the likes of the last second"},
		{"maxmemory-policy", "allkeys-lru", "UNSAFE"},
	} {
		if err := rdb.ConfigSet(t.Context(), step.name, step.value).Err(); err != nil {
			t.Fatal(err)
		}
		promise := ""
		for _, f := range examined(t, exitFailed, stores).Findings {
			if f.Check == "redis.promise" {
				promise = f.Found
			}
		}
		_, body := request(t, "GET", inside+"/readyz")
		if !strings.Contains(promise, step.says) || !strings.Contains(body, "redis: "+promise) {
			t.Errorf("the doctor says %q, /readyz %s", promise, body)
		}
	}
	if _, body := request(t, "GET", inside+"/readyz"); !strings.Contains(body, "ok       memory: ") || !strings.Contains(body, "of 240 MiB used") {
		t.Errorf("/readyz: %s", body)
	}
	if err := rdb.HSet(t.Context(), "p1:{3}:meta", "shards", "moving to 32").Err(); err != nil {
		t.Fatal(err)
	}
	for _, f := range examined(t, exitFailed, stores).Findings {
		_, body := request(t, "GET", inside+"/readyz")
		if f.Check == "shards.redis" && !strings.Contains(body, "FAILED   shards: "+f.Found) {
			t.Errorf("the doctor says %q, /readyz %s", f.Found, body)
		}
	}
	if err := rdb.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, body := request(t, "GET", inside+"/readyz"); !strings.Contains(body, "degraded redis: ") || !strings.Contains(body, "it is a replica") {
		t.Errorf("/readyz on a replica: %s", body)
	}
	p.end(t, syscall.SIGKILL) // it has no primary any more, which would hold it up
}

func TestTheDoctorNeedsBothStoresNamed(t *testing.T) {
	t.Parallel()
	for _, wrong := range [][]string{
		{"doctor"},
		{"doctor", "--redis-url=redis://127.0.0.1:1"},
		{"doctor", "--redis-url=nonsense", "--postgres-url=postgres://127.0.0.1:1/x"},
		{"doctor", "--redis-url=redis://127.0.0.1:1", "--postgres-url=postgres://127.0.0.1:x/x"},
	} {
		p := start(t, wrong...)
		if code := p.end(t, 0); code != exitUsage {
			t.Errorf("%v exits with %d: %s", wrong, code, p.said())
		}
	}
}

func TestTheDoctorTakesEverySettingOfServe(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]map[string]bool{}
	for _, command := range parser.Model.Children {
		flags[command.Name] = map[string]bool{}
		for _, f := range command.Flags {
			flags[command.Name][f.Name] = true
		}
	}
	if len(flags["serve"]) < 30 {
		t.Fatalf("serve has %d flags", len(flags["serve"]))
	}
	for name := range flags["serve"] {
		if !flags["doctor"][name] {
			t.Errorf("doctor lacks --%s", name)
		}
	}
}
