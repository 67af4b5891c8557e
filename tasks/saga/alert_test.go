package saga_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/tasks"
	"plusone/tasks/saga"
)

func TestARunningEngineTellsOfWhatIsStuck(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	told := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	t.Cleanup(receiver.Close)
	hook, err := tasks.NewHook(tasks.Receiver{URL: receiver.URL, Secrets: []string{secret}}, 5*time.Second, true)
	check(t, err)
	t.Cleanup(hook.Close)
	cfg, reg := w.config(), prometheus.NewRegistry()
	cfg.Alert = hook
	w.engine, err = saga.New(w.ledger, w.log, w.Counter, func(...int) {}, reg, cfg)
	check(t, err)
	t.Cleanup(w.engine.Close)
	w.run(t)
	select {
	case body := <-told:
		if !strings.Contains(body, s.ID) {
			t.Errorf("told: %s", body)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is told")
	}
	families, err := reg.Gather()
	check(t, err)
	for _, f := range families {
		if f.GetName() == "plusone_saga_stuck" {
			if n := f.GetMetric()[0].GetGauge().GetValue(); n != 1 {
				t.Errorf("the metric says %v", n)
			}
			return
		}
	}
	t.Error("there is no metric")
}
