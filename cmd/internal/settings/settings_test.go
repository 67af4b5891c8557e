package settings_test

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"plusone/cmd/internal/settings"
)

type grammar struct {
	settings.File
	settings.Log
	Serve struct {
		settings.Stores
		settings.HTTP
		settings.Auth
		settings.Notify
		settings.Limits
		settings.Reconcile
		settings.Internal
	} `cmd:""`
	Worker struct {
		settings.Notify
	} `cmd:""`
}

func parse(t *testing.T, file string, env map[string]string, args ...string) (*grammar, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "plusone.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	g := new(grammar)
	_, err := settings.Parse(g, append([]string{"serve"}, args...), func(k string) string { return env[k] },
		kong.Name("plusone"), kong.Exit(func(int) { t.Fatal("exit") }))
	return g, err
}

func mustParse(t *testing.T, file string, env map[string]string, args ...string) *grammar {
	t.Helper()
	g, err := parse(t, file, env, args...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAFlagBeatsAVariableBeatsTheFileBeatsTheDefault(t *testing.T) {
	const file = "internal-listen: file:1\n"
	env := map[string]string{"PLUSONE_INTERNAL_LISTEN": "env:1"}
	for want, got := range map[string]*grammar{
		"flag:1":         mustParse(t, file, env, "--internal-listen", "flag:1"),
		"env:1":          mustParse(t, file, env),
		"file:1":         mustParse(t, file, nil),
		"127.0.0.1:9090": mustParse(t, "", nil),
	} {
		if got.Serve.InternalListen != want {
			t.Errorf("internal-listen = %q, want %q", got.Serve.InternalListen, want)
		}
	}
}

func TestAnEmptyVariableIsUnset(t *testing.T) {
	env := map[string]string{"PLUSONE_SHARDS": "", "PLUSONE_LISTEN": "", "PLUSONE_CONFIG": "", "PLUSONE_UNSAFE": ""}
	g := mustParse(t, "shards: 64\n", env)
	if g.Serve.Shards != 64 || g.Serve.Listen != "127.0.0.1:8080" || g.Serve.Unsafe {
		t.Errorf("shards %d, listen %q, unsafe %v", g.Serve.Shards, g.Serve.Listen, g.Serve.Unsafe)
	}
}

func TestAnUnknownKeyOfTheFileIsNamed(t *testing.T) {
	for _, key := range []string{"redis-ulr", "redis_url", "config", "help"} {
		_, err := parse(t, key+": x\nshards: 16\n", nil)
		if err == nil || !strings.Contains(err.Error(), "unknown setting "+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestTheFileMayBeNamedByAVariable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(path, []byte("shards: 32"), 0o600); err != nil {
		t.Fatal(err)
	}
	if g := mustParse(t, "", map[string]string{"PLUSONE_CONFIG": path}); g.Serve.Shards != 32 {
		t.Errorf("shards = %d", g.Serve.Shards)
	}
	if _, err := parse(t, "", map[string]string{"PLUSONE_CONFIG": path + ".not"}); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func TestEveryKindOfValueIsReadFromEverywhere(t *testing.T) {
	hash := "sha256:" + hex.EncodeToString(make([]byte, sha256.Size))
	file := `
log-level: debug
webhook-ladder: [1s, 2s]
webhook-url:
  - http://a.example/x
  - http://b.example/y
trusted-proxies: 10.0.0.0/8
server-keys: ["app=` + hash + `"]
webhook-allow-private: true
max-body: 77
op-timeout: 3s
redis-url:
`
	env := map[string]string{
		"PLUSONE_LOG_LEVEL": "debug", "PLUSONE_WEBHOOK_LADDER": "1s,2s", "PLUSONE_WEBHOOK_URL": "http://a.example/x,http://b.example/y",
		"PLUSONE_TRUSTED_PROXIES": "10.0.0.0/8", "PLUSONE_SERVER_KEYS": "app=" + hash, "PLUSONE_WEBHOOK_ALLOW_PRIVATE": "true",
		"PLUSONE_MAX_BODY": "77", "PLUSONE_OP_TIMEOUT": "3s",
	}
	for where, g := range map[string]*grammar{
		"file": mustParse(t, file, nil), "environment": mustParse(t, "", env),
		"flags": mustParse(
			t, "", nil, "--log-level=debug", "--webhook-ladder=1s,2s", "--webhook-url=http://a.example/x",
			"--webhook-url=http://b.example/y", "--trusted-proxies=10.0.0.0/8", "--server-keys=app="+hash, "--webhook-allow-private",
			"--max-body=77", "--op-timeout=3s",
		),
	} {
		s := g.Serve
		switch {
		case g.LogLevel != slog.LevelDebug, s.MaxBody != 77, s.OpTimeout != 3*time.Second, !s.WebhookAllowPrivate,
			!slices.Equal(s.WebhookLadder, []time.Duration{time.Second, 2 * time.Second}),
			!slices.Equal(s.WebhookURLs, []string{"http://a.example/x", "http://b.example/y"}),
			len(s.TrustedProxies) != 1 || s.TrustedProxies[0].String() != "10.0.0.0/8",
			len(s.ServerKeys) != 1 || s.ServerKeys[0] != "app="+hash, s.RedisURL != "":
			t.Errorf("%s: %+v", where, g)
		}
	}
}

func TestABadValueIsAnErrorThatNamesItsSetting(t *testing.T) {
	for name, value := range map[string]string{
		"shards": "17", "max-body": "many", "op-timeout": "soon", "trusted-proxies": "10.0.0.0/99", "auth": "none",
		"log-level": "loud", "webhook-ladder": "[1s, [2s]]", "unsafe": "perhaps",
		"listen": "{a: b}", "reconcile-every": "0s", "queue-size": "-1", "reconcile-rate": "0", "internal-token": "sha256:abcd",
	} {
		_, err := parse(t, name+": "+value+"\n", nil)
		if err == nil || !strings.Contains(err.Error(), "plusone.yaml: "+name+": ") || strings.HasPrefix(err.Error(), "--") {
			t.Errorf("%s=%s in the file: %v", name, value, err)
		}
		if strings.ContainsAny(value, "{[") {
			continue
		}
		_, err = parse(t, "", map[string]string{settings.Variable(name): value})
		if err == nil || !strings.HasPrefix(err.Error(), settings.Variable(name)+": ") {
			t.Errorf("%s=%s in the environment: %v", name, value, err)
		}
	}
	for _, shards := range []string{"0", "-1", "3", "8192"} {
		if _, err := parse(t, "", nil, "--shards="+shards); err == nil {
			t.Errorf("%s shards are accepted", shards)
		}
	}
}

func TestAnErrorOfTheFileIsNotTakenForAFlags(t *testing.T) {
	for _, file := range []string{"shards: [a: b\n", "- a\n", "shards: {a: b}\n"} {
		if _, err := parse(t, file, nil); err == nil || strings.HasPrefix(err.Error(), "--") || !strings.Contains(err.Error(), "plusone.yaml") {
			t.Errorf("%q: %v", file, err)
		}
	}
	_, err := parse(t, "", map[string]string{"PLUSONE_CONFIG": "/not/there"})
	if err == nil || strings.Contains(err.Error(), "--help") || !strings.Contains(err.Error(), "/not/there") {
		t.Error(err)
	}
}

func TestAWrongVariableThatAFlagReplacesIsNoError(t *testing.T) {
	if g := mustParse(t, "", map[string]string{"PLUSONE_SHARDS": "17"}, "--shards=8"); g.Serve.Shards != 8 {
		t.Error(g.Serve.Shards)
	}
}

func TestLogsAreJSONWhereNobodyLooks(t *testing.T) {
	var b strings.Builder
	settings.Log{LogFormat: "auto"}.Logger(&b, new(slog.LevelVar)).Info("hello", "n", 1)
	if !strings.HasPrefix(b.String(), "{") {
		t.Errorf("logged %q", b.String())
	}
}

func TestAWrongValueIsToldWithWhereItStandsAndWhatIsWanted(t *testing.T) {
	for _, c := range []struct{ file, flag, variable, want string }{
		{"op-timeout: abc\n", "", "", `plusone.yaml: op-timeout: "abc" is no time, such as 90s, 5m or 1h30m`},
		{"webhook-ladder: [1m, x]\n", "", "", "plusone.yaml: webhook-ladder: "},
		{"listen: [1\nwebhook-secret: hunter2\n", "", "", "plusone.yaml, line "},
		{"hunter2\n", "", "", "plusone.yaml, line 1: "},
		{"", "", "many", `PLUSONE_QUEUE_SIZE: "many" is no whole number`},
		{"", "--max-body=x", "", `--max-body: "x" is no whole number`},
		{"", "--log-level=loud", "", `--log-level: "loud" is no level: debug, info, warn or error`},
		{"", "--trusted-proxies=1", "", "is no network, such as 10.0.0.0/8"},
		{"", "--op-timeout", "", "--op-timeout: its value is missing"},
		{"", "--listen", "", "--listen: its value is missing"},
	} {
		args, env := []string{}, map[string]string{}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		if c.variable != "" {
			env["PLUSONE_QUEUE_SIZE"] = c.variable
		}
		_, err := parse(t, c.file, env, args...)
		wantError(t, err, c.want)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, want %q", err, want)
	}
}
