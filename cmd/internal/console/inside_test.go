package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"plusone/cmd/internal/doctor"
)

func TestSettingsAreShownWithTheirSource(t *testing.T) {
	p := newHouse(t, secret).login()
	all, set := p.get("/console/settings").body, p.get("/console/settings?only=set").body
	for _, want := range []string{"log-level", "default", "Stores", "redis://***@host", "<strong>variable</strong> <code>PLUSONE_REDIS_URL</code>", "Only the 1 that"} {
		if !strings.Contains(all, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(set, "log-level") || !strings.Contains(set, "redis-url") {
		t.Error("those that somebody has set are not these", set)
	}
}

func TestTheDoctorsFindingsComeWithTheWorstFirst(t *testing.T) {
	p := newHouse(t, secret).login()
	if a := p.get("/console/doctor"); a.code != 200 || !strings.Contains(a.body, `data-load="/console/findings"`) || strings.Contains(a.body, "too old") {
		t.Errorf("before it has looked: %d %s", a.code, a.body)
	}
	whole := p.get("/console/findings").body
	for _, want := range []string{"3 checks: 1 wrong, 1 warning.", "Fix: &lt;always&gt;", "<nav"} {
		if !strings.Contains(whole, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Index(whole, "too old") > strings.Index(whole, "everysec") || strings.Index(whole, "everysec") > strings.Index(whole, "it answers") {
		t.Error("the worst is not first")
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/console/findings", nil)
	must(t, err)
	req.AddCookie(p.cookie)
	req.Header.Set("X-Part", "1")
	if part := p.do(req).body; strings.Contains(part, "<nav") || !strings.Contains(part, "too old") {
		t.Error("the part for the script is", part)
	}
}

func TestTheDoctorLooksForOneAtATimeAndNobodyWaitsForEver(t *testing.T) {
	h := newHouse(t, secret)
	busy, looks := make(chan struct{}), make(chan struct{}, 2)
	h.console.opt.Examine = func(context.Context) (doctor.Report, error) {
		looks <- struct{}{}
		<-busy
		return doctor.Report{}, nil
	}
	first := make(chan error, 1)
	go func() {
		_, err := h.console.findings(t.Context(), nil)
		first <- err
	}()
	<-looks
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.console.findings(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits no more: %v", err)
	}
	close(busy)
	must(t, <-first)
	if len(looks) != 0 {
		t.Error("the doctor looked twice at once")
	}
}
