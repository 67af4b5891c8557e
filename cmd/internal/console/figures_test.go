package console

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestWhoReadsIsNotCountedAsALike(t *testing.T) {
	m := prometheus.NewRegistry()
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "plusone_http_request_duration_seconds", Buckets: []float64{1, 2}}, []string{"route"})
	m.MustRegister(took)
	took.WithLabelValues("/v1/items/{item}/like").Observe(0.5)
	took.WithLabelValues("/v1/items/{item}/like/toggle").Observe(0.5)
	took.WithLabelValues("/v1/items/{item}/likers").Observe(1.5)
	if got := gather(m).histogram("plusone_http_request_duration_seconds", likeRoutes...); got.count != 2 || got.sum != 1 {
		t.Errorf("%+v", got)
	}
}

func TestPlotsAreOfTheFiguresOfThisProcess(t *testing.T) {
	h := newHouse(t, secret)
	ops := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "plusone_ops_total"}, []string{"result"})
	h.metrics.MustRegister(ops)
	for _, result := range []string{"changed", "unchanged", "busy"} {
		ops.WithLabelValues(result) // as the API does
	}
	before := gather(h.metrics)
	ops.WithLabelValues("changed").Add(30)
	ops.WithLabelValues("unchanged").Add(10)
	ops.WithLabelValues("busy").Add(4)
	h.like("post", names("u", 7)...)
	now := gather(h.metrics)
	now.at = before.at.Add(2 * time.Second)
	now.askStores(t.Context(), h.console.opt)
	values := make([]float64, len(lines))
	for i, l := range lines {
		values[i] = l.of(now, before)
	}
	h.console.samples.keep(sample{now.at, values})
	var got struct {
		At    []int64
		Lines map[string][]*float64
	}
	must(t, json.Unmarshal([]byte(h.login().get("/console/live").body), &got))
	for name, want := range map[string]float64{"likes.accepted": 20, "likes.refused": 2, "log.entries": 0, "lag.drain": 0} {
		if v := got.Lines[name]; len(got.At) != 1 || len(v) != 1 || v[0] == nil || *v[0] != want {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	if v := got.Lines["batch.mean"]; v[0] == nil || *v[0] < 1 || *v[0] > 7 {
		t.Error("seven likes were sent in batches of", v)
	}
	if v := got.Lines["sagas.open"]; len(v) != 1 || v[0] != nil {
		t.Errorf("what nobody counts here is %v", v)
	}
}

func TestTheOverviewCountsWhatWaitsForAPerson(t *testing.T) {
	h := newHouse(t, secret)
	h.exec(`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
	        SELECT 0, n, 'post', 'u' || n, true, true, 'it said no' FROM generate_series(1, 3) n`)
	h.exec(`INSERT INTO repairs (run, shard, item_id, user_id, side, before, after, cause, repaired)
	        SELECT 'r', 0, 'post', 'u' || n, 'counter', '1', '2', 'a test', n > 4 FROM generate_series(1, 9) n`)
	h.exec(`INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants, state, step)
	        SELECT 'sag_' || n, 0, n, 'post', 'u' || n, true, '{points}', 'stuck', 1 FROM generate_series(1, 2) n`)
	p := h.login()
	if a := p.act("item/freeze", "post", "a test"); a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	page := p.get("/console/state").body
	for name, n := range map[string]string{
		"Dead letters": "3", "Stuck sagas": "2", "Not repaired": "4", "Repaired": "5", "Frozen items": "1", "Given up": "0", "Overdue": "0", "Revocations": "0",
	} {
		if !strings.Contains(page, `<span class="n">`+n+`</span> <span class="name">`+name+`</span>`) {
			t.Errorf("%s are not %s", name, n)
		}
	}
}

func TestAnItemThatRedisCantReadIsNotCalledFine(t *testing.T) {
	h := newHouse(t, secret)
	h.like("post", "u")
	key := h.rdb.Keys(t.Context(), "*:likers:post").Val()
	must(t, h.rdb.Set(t.Context(), key[0], "no set", 0).Err())
	if page := h.login().get("/console/item?id=post").body; !strings.Contains(page, "Its set can&#39;t be read") {
		t.Error(page)
	}
}

func TestSamplesAreBoundedAndAskedForOnce(t *testing.T) {
	s := newHouse(t, secret).console.samples
	began := time.Now()
	for i := range samplesKept + 9 {
		s.keep(sample{at: began.Add(time.Duration(i) * sampleEvery)})
	}
	last := began.Add((samplesKept + 8) * sampleEvery)
	if n := len(s.after(time.Time{})); n != samplesKept {
		t.Errorf("%d samples are kept", n)
	}
	if found := s.after(last.Add(-2 * sampleEvery)); len(found) != 2 || !found[1].at.Equal(last) {
		t.Errorf("behind the last but two are %d", len(found))
	}
}

func TestStoresAreAskedWhileSomebodyLooks(t *testing.T) {
	h := newHouse(t, secret)
	s := h.console.samples
	if f := s.take(t.Context()); f.askedLog || f.askedMem {
		t.Error("nobody looks, and they are asked")
	}
	h.login().get("/console/live")
	if f := s.take(t.Context()); !f.askedLog || !f.askedMem {
		t.Error("somebody looks, and they are not")
	}
}

func TestAPageDoesNotWaitForEver(t *testing.T) {
	c := newHouse(t, "").console
	for most, may := range map[time.Duration]time.Duration{askTime: 0, examTime: examTime} {
		ask := func(_ *Console, ctx context.Context, _ *http.Request) (any, error) {
			if until, ok := ctx.Deadline(); !ok || time.Until(until) > most {
				t.Errorf("it may take until %v", until)
			}
			return trouble{}, nil
		}
		c.page(httptest.NewRecorder(), httptest.NewRequest("GET", "/console/hot", nil), page{template: "trouble", time: may, ask: ask})
	}
}

func TestQuantilesOfAHistogram(t *testing.T) {
	h := histogram{count: 10, bounds: []float64{1, 2, 4}, buckets: []float64{5, 9, 10}}
	for part, want := range map[float64]float64{0.25: 0.5, 0.5: 1, 0.7: 1.5, 0.95: 3, 1: 4} {
		if got := h.quantile(part); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", part, got, want)
		}
	}
	if got := h.since(histogram{}).quantile(1); got != 4 {
		t.Error(got)
	}
	if !math.IsNaN((histogram{}).quantile(0.5)) {
		t.Error("of nothing there is one")
	}
	above := histogram{count: 2, bounds: []float64{1}, buckets: []float64{0}}
	if above.quantile(0.5) != 1 {
		t.Error("what is above the last bound")
	}
}
