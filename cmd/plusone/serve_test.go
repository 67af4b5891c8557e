package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"plusone/reconcile"
	"plusone/scripts/dev/private/privatetest"
)

// given are the flags for private stores.
func given(t *testing.T) []string {
	t.Helper()
	return []string{"--redis-url", privatetest.Redis(t).URL(), "--postgres-url", privatetest.Postgres(t)}
}

// ports are flags for free ports, and the patterns that find them in the log.
var ports = []string{"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--log-format=json"}

const (
	publicURL = `"msg":"API","url":"([^"]+)"`
	insideURL = `"msg":"inside","url":"([^"]+)"`
)

func migrated(t *testing.T) []string {
	t.Helper()
	stores := given(t)
	p := start(t, append([]string{"migrate"}, stores[2:]...)...)
	if code := p.end(t, 0); code != exitOK {
		t.Fatalf("migrate exits with %d: %s", code, p.said())
	}
	return stores
}

func args(command string, more ...[]string) []string {
	a := []string{command}
	for _, m := range more {
		a = append(a, m...)
	}
	return a
}

func TestServeRefusesAnOlderSchemaAndNamesTheCommand(t *testing.T) {
	t.Parallel()
	stores := given(t)
	p := start(t, args("serve", stores, ports)...)
	if code := p.end(t, 0); code != exitFailed || !strings.Contains(p.said(), "run: plusone migrate") {
		t.Fatalf("%d %s", code, p.said())
	}
	p = start(t, args("migrate", []string{"status"}, stores[2:])...)
	if code := p.end(t, 0); code != exitOK || !strings.Contains(p.said(), "missing") {
		t.Errorf("status: %d %s", code, p.said())
	}
	for range 2 { // the second time there is nothing to do
		p = start(t, args("migrate", stores[2:])...)
		if code := p.end(t, 0); code != exitOK || strings.Contains(p.said(), "missing") {
			t.Errorf("migrate: %d %s", code, p.said())
		}
	}
	p = start(t, args("serve", stores, ports)...)
	wantLike(t, p.find(t, publicURL), "page", `"changed":true,"count":1`)
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
}

func TestServeShowsItsInside(t *testing.T) {
	t.Parallel()
	p := start(t, args("serve", migrated(t), ports)...)
	wantLike(t, p.find(t, publicURL), "page", `"count":1`)
	inside := p.find(t, insideURL)
	for path, want := range map[string]string{
		"/readyz": "ok       log:", "/livez": "ok", "/metrics": "plusone_batch_ops_count", "/tasks/": "<html",
	} {
		if code, body := request(t, "GET", inside+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, code, body)
		}
	}
	eventually(t, "the queues are in the metrics", func() bool {
		_, body := request(t, "GET", inside+"/metrics")
		return strings.Contains(body, `plusone_queue_tasks{queue="drain"`)
	})
	if code := p.end(t, syscall.SIGINT); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
}

func TestTheRolesWorkAsProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	api := start(t, args("api", stores, ports)...)
	worker := start(t, args("worker", stores, ports[2:])...)
	reconciler := start(t, args("reconcile", stores, ports[2:])...)
	wantLike(t, api.find(t, publicURL), "page", `"count":1`)
	reconciler.find(t, insideURL)
	inside := worker.find(t, insideURL)
	eventually(t, "the worker has drained the like", func() bool {
		_, body := request(t, "GET", inside+"/metrics")
		return strings.Contains(body, "plusone_drained_rows_total 1")
	})

	once := start(t, args("reconcile", []string{"--once", "--dry-run", "--json"}, stores)...)
	if code := once.end(t, 0); code != exitOK {
		t.Errorf("reconcile --once exits with %d", code)
	}
	var report reconcile.Report
	if err := json.Unmarshal([]byte(once.said()), &report); err != nil || !report.DryRun || report.Pairs != 1 || len(report.Drifts) != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
	for _, p := range []*running{api, worker, reconciler} {
		if code := p.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("%v ends with %d", p.cmd.Args[1], code)
		}
	}
}

func TestANumberOfShardsThatIsNotTheLedgersIsRefused(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	p := start(t, args("worker", stores, ports[2:])...)
	p.find(t, insideURL)
	p.end(t, syscall.SIGTERM)
	p = start(t, args("worker", stores, ports[2:], []string{"--shards=64"})...)
	if code := p.end(t, 0); code != exitFailed || !strings.Contains(p.said(), "64") {
		t.Errorf("%d %s", code, p.said())
	}
}

func TestSettingsThatOnlyAPartUnderstandsAreUsageErrors(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	for _, wrong := range [][]string{
		{"--auth=jwt"},
		{"--server-keys=app=plain"},
		{"--webhook-url=http://a.example"},
		{"--webhook-secret=whsec_qfLpJCFhEWn2ZdVL2W0Zy3WwzZkYlQYAbs8v2eVYI/k="},
		{"--jwt-secret-file=/etc/hostname"},
		{"--auth=jwt", "--jwks-url=https://a.example", "--jwks-file=/etc/hostname"},
		{"--listen=nonsense"},
		{"--listen=192.0.2.1:80"}, // no address of this machine
		{"--postgres-url=postgres://127.0.0.1:x/y"},
		{"--redis-url=nonsense"},
		{"--internal-listen=0.0.0.0:0"},
		{"--webhook-ladder=2m,1m", "--webhook-url=http://a.example"},
		{"--worker-concurrency=1"},
		{"--op-timeout=-1s"},
		{"--max-pending=0"},
		{"--reconcile-every=0s"},
	} {
		p := start(t, args("serve", stores, ports, wrong)...)
		if code := p.end(t, 0); code != exitUsage {
			t.Errorf("%v: %d %s", wrong, code, p.said())
		}
	}
}
