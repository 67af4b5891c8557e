package settings_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"plusone/cmd/internal/settings"
)

// inForce is the table that a command's Run would get.
func inForce(t *testing.T, file string, env map[string]string, args ...string) map[string]settings.Setting {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plusone.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	command, err := settings.Parse(new(grammar), append([]string{"serve", "--config", path}, args...),
		func(k string) string { return env[k] }, kong.Name("plusone"))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]settings.Setting{}
	for _, s := range settings.InForce(command) {
		byName[s.Name] = s
	}
	return byName
}

func TestTheTableTellsWhereEachValueComesFrom(t *testing.T) {
	env := map[string]string{"PLUSONE_MAX_BODY": "77", "PLUSONE_LISTEN": "env:1", "PLUSONE_SHARDS": "8"}
	got := inForce(t, "op-timeout: 300s\nlisten: file:1\nwebhook-ladder: [60s, 1h]\n", env, "--listen", "flag:1", "--quota=5/90s")
	for name, want := range map[string]settings.Setting{
		"listen":         {Value: "flag:1", Source: settings.FromFlag, Where: "--listen"},
		"max-body":       {Value: "77", Source: settings.FromVariable, Where: "PLUSONE_MAX_BODY"},
		"op-timeout":     {Value: "5m", Source: settings.FromFile},
		"webhook-ladder": {Value: "1m,1h", Source: settings.FromFile},
		"quota":          {Value: "5/1m30s", Source: settings.FromFlag, Where: "--quota"},
		"shards":         {Value: "8", Source: settings.FromVariable, Where: "PLUSONE_SHARDS"},
		"max-conns":      {Value: "16384", Source: settings.FromDefault},
		"log-level":      {Value: "info", Source: settings.FromDefault},
		"reconcile-rate": {Source: settings.FromDefault},
		"redis-url":      {Source: settings.FromDefault},
	} {
		s := got[name]
		if s.Value != want.Value || s.Source != want.Source || want.Where != "" && s.Where != want.Where {
			t.Errorf("%s: %+v, want %+v", name, s, want)
		}
	}
	if where := got["op-timeout"].Where; !strings.HasSuffix(where, "plusone.yaml") {
		t.Errorf("the file is %q", where)
	}
	if _, shown := got["help"]; shown {
		t.Error("--help is no setting")
	}
}

func TestTheTableHoldsNoSecret(t *testing.T) {
	const secret = "hunter2"
	sum := "sha256:" + strings.Repeat("ab", 32)
	for _, url := range []string{
		"redis://u:hunter2@h/0", "redis://:hunter2@h", "redis://u:x@hunter2/y@h:1", "redis://u:x?hunter2@h",
		"host=h password=hunter2 user=u", "host=h password = 'a hunter2'", "postgres://h/d?password=hunter2&sslmode=disable",
		"postgres://h/d?sslpassword=hunter2", "https://hunter2@h/x", "https://h/x?api_key=hunter2",
	} {
		got := inForce(t, "", map[string]string{
			"PLUSONE_REDIS_URL": url, "PLUSONE_POSTGRES_URL": url, "PLUSONE_WEBHOOK_SECRET": secret + ",b" + secret,
			"PLUSONE_SERVER_KEYS": "shop=" + sum, "PLUSONE_INTERNAL_TOKEN": sum, "PLUSONE_JWKS_URL": url,
		}, "--webhook-url", url)
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{secret, "abab"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s: %s is shown: %s", url, bad, text)
			}
		}
	}
	got := inForce(t, "", map[string]string{"PLUSONE_REDIS_URL": "redis://u:hunter2@h:1/0", "PLUSONE_SERVER_KEYS": "shop=" + sum})
	if u, k := got["redis-url"], got["server-keys"]; u.Value != "redis://u:***@h:1/0" || k.Value != "shop=***" || !k.Secret {
		t.Errorf("%+v, %+v: what is no secret is hidden", u, k)
	}
}

func TestANameThatIsNearlyRightIsRecognised(t *testing.T) {
	for key, meant := range map[string]string{
		"redis-ulr": "redis-url", "redis_url": "redis-url", "webhok-url": "webhook-url", "lissten": "listen", "something-else": "",
	} {
		_, err := parse(t, key+": x\n", nil)
		if hint := "(" + meant + "?)"; err == nil || strings.Contains(err.Error(), "?)") != (meant != "") || meant != "" && !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v", key, err)
		}
	}
	app, err := kong.New(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	got := settings.UnknownVariables(app.Model, []string{
		"PLUSONE_REDIS_ULR=x", "PLUSONE_PORT_8080_TCP=tcp://h", "PLUSONE_REDIS_URL=x", "PLUSONE_LISTN=", "HOME=/", "PLUSONE_CONFIG=x",
	})
	if len(got) != 2 || got["PLUSONE_REDIS_ULR"] != "PLUSONE_REDIS_URL" || got["PLUSONE_PORT_8080_TCP"] != "" {
		t.Errorf("unknown: %v", got)
	}
}
