package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// deployed is a file of scripts/deploy.
func deployed(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "scripts", "deploy", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// queries are the expressions of the alert rules and of the dashboard, by their titles.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(deployed(t, "alerts.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules.Groups[0].Rules {
		all[r.Alert] = r.Expr
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana/plusone.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
		}
	}
	if len(all) < 40 {
		t.Fatalf("there are %d queries only", len(all))
	}
	return all
}

// exported is what a process shows: series → label → values.
type exported map[string]map[string][]string

func newExported(families map[string]*dto.MetricFamily) exported {
	e := exported{"up": {}}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			for _, suffix := range map[dto.MetricType][]string{dto.MetricType_HISTOGRAM: {"_bucket", "_sum", "_count"}}[f.GetType()] {
				e.add(name+suffix, m)
			}
			e.add(name, m)
		}
	}
	return e
}

func (e exported) add(name string, m *dto.Metric) {
	if e[name] == nil {
		e[name] = map[string][]string{}
	}
	for _, l := range m.GetLabel() {
		e[name][l.GetName()] = append(e[name][l.GetName()], l.GetValue())
	}
	if strings.HasSuffix(name, "_bucket") {
		e[name]["le"] = nil
	}
}

// A query is read for its names alone; promtool reads the rest.
var (
	selector = regexp.MustCompile(`\b((?:plusone|process|go)_\w+|up)\b *(\{(?:[^}"]|"[^"]*")*\})?`)
	matcher  = regexp.MustCompile(`(\w+) *(=~|!~|!=|=) *"([^"]*)"`)
	groups   = regexp.MustCompile(`\b(?:by|without) *\(([^)]*)\)`)
)

// wrong tells what a query asks for that nobody shows.
func (e exported) wrong(query string) (wrong []string) {
	has := map[string]bool{"job": true, "instance": true} // by the scrape
	found := selector.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		return []string{"it asks for nothing of plusone's"}
	}
	for _, s := range found {
		known, ok := e[s[1]]
		if !ok {
			wrong = append(wrong, "nothing is called "+s[1])
		}
		for label := range known {
			has[label] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			wrong = append(wrong, wrongMatcher(s[1], m[1], m[3], known)...)
		}
	}
	for _, g := range groups.FindAllStringSubmatch(query, -1) {
		for label := range strings.FieldsFuncSeq(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			if !has[label] {
				wrong = append(wrong, "nothing in it has a label "+label)
			}
		}
	}
	return wrong
}

func wrongMatcher(name, label, value string, known map[string][]string) (wrong []string) {
	values, ok := known[label]
	switch {
	case label == "job", label == "instance":
		return nil
	case !ok:
		return []string{name + " has no label " + label}
	case label == "code": // only those that were answered are there
		return nil
	}
	for _, v := range strings.Split(value, "|") {
		if !slices.Contains(values, v) {
			wrong = append(wrong, name+" is never "+label+"="+v)
		}
	}
	return wrong
}

func TestEveryAlertAndPanelAsksForWhatPlusoneShows(t *testing.T) {
	t.Parallel()
	const secret = "whsec_qfLpJCFhEWn2ZdVL2W0Zy3WwzZkYlQYAbs8v2eVYI/k="
	p := start(t, args("serve", migrated(t), ports, []string{
		"--participant=fraud=http://127.0.0.1:1/", "--participant-secret=" + secret, "--webhook-url=http://127.0.0.1:1/", "--webhook-secret=" + secret,
	})...)
	wantLike(t, p.find(t, publicURL), "page", `"count":1`)
	inside := p.find(t, insideURL)
	var text string
	eventually(t, "the worker has drained and asked", func() bool {
		_, text = request(t, "GET", inside+"/metrics")
		return strings.Contains(text, `plusone_saga_calls_total{participant="fraud"`) && strings.Contains(text, `plusone_queue_tasks{queue="drain"`)
	})
	if code, said := inProcess("health", "--internal-listen", strings.TrimPrefix(inside, "http://")); code != exitOK || !strings.Contains(said, "ok       postgres") {
		t.Errorf("plusone health: %d %s", code, said)
	}
	in := expfmt.NewTextParser(model.UTF8Validation)
	families, err := in.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	e := newExported(families)
	for title, query := range queries(t) {
		for _, why := range e.wrong(query) {
			t.Errorf("%s: %s", title, why)
		}
	}
	for query, ok := range map[string]bool{ // the test itself
		`sum by (le) (rate(plusone_script_duration_seconds_bucket[1m]))`: true, `plusone_ops_total{result=~"changed|busy"}`: true,
		`plusone_nothing`: false, `plusone_ops_total{result="x"}`: false, `plusone_ops_total{shard="1"}`: false, `sum by (x) (plusone_ops_total)`: false, `sum(1)`: false,
	} {
		if wrong := e.wrong(query); (len(wrong) == 0) != ok {
			t.Errorf("%s: %v", query, wrong)
		}
	}
}

func TestPrometheusUnderstandsEveryAlertAndPanel(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing")
		}
		t.Skip("promtool is missing (Debian: prometheus): the queries are not parsed")
	}
	type rule struct {
		Record, Expr string
	}
	var rules []rule
	for _, query := range queries(t) {
		rules = append(rules, rule{"panel:" + strconv.Itoa(len(rules)), query})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	panels := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(panels, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", panels, filepath.Join("..", "..", "scripts", "deploy", "alerts.yml")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.Command(promtool, "check", "config", "--syntax-only", filepath.Join("..", "..", "scripts", "deploy", "prometheus.yml")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// image finds what a line of the Dockerfile or of compose.yaml builds upon.
var image = regexp.MustCompile(`(?m)^(?:FROM|\s+image:) (\S+)`)

func TestHealthFailsWhereNobodyAnswersAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	if code, said := inProcess("health", "--internal-listen", "127.0.0.1:1"); code != exitFailed || !strings.Contains(said, "is it running?") {
		t.Errorf("%d %s", code, said)
	}
}

func TestTheUnitAndTheImagesCallCommandsThatThereAre(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"config check", "health", "serve", "api", "worker", "reconcile", "migrate up"} {
		if examples[command] == nil { // which are tested to be of commands that there are
			t.Errorf("there is no plusone %s", command)
		}
	}
	unit, files := string(deployed(t, "plusone@.service")), string(deployed(t, "Dockerfile"))+string(deployed(t, "compose.yaml"))
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/plusone %i\n") || !strings.Contains(unit, "ExecStartPre=/usr/local/bin/plusone config check\n") {
		t.Error("the unit starts something else")
	}
	for _, m := range image.FindAllStringSubmatch(files, -1) {
		if name := m[1]; name != "plusone" && !strings.Contains(name, ":") {
			t.Errorf("%s: name its version", name)
		}
	}
}
