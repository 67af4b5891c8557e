package console

import (
	"net/url"
	"strings"
	"testing"

	"plusone/tasks/ledger"
)

func TestAnActNeedsItsOwnForm(t *testing.T) {
	h := newHouse(t, secret)
	p, other := h.login(), h.login()
	own := p.csrf
	for name, csrf := range map[string]string{"nothing": "", "another session's": other.csrf, "its beginning": own[:10], "more than it": own + "A"} {
		p.csrf = csrf
		for _, a := range []answer{
			p.act("item/freeze", "a", "why"), p.send("POST", "/console/revoke", url.Values{"csrf": {csrf}, "users": {"u"}, "looked": {"yes"}, "reason": {"x"}}),
		} {
			if a.code != 403 || !strings.Contains(a.body, "not of your session") {
				t.Errorf("%s: %d", name, a.code)
			}
		}
	}
	p.csrf = own
	if a := p.get("/console/act"); a.code != 404 {
		t.Errorf("GET: %d", a.code)
	}
	if _, acts, err := h.ledger.FrozenItem(t.Context(), "a"); err != nil || len(acts) != 0 {
		t.Errorf("%v %v", acts, err)
	}
	if a := p.act("item/burn", "a", "why"); a.code != 404 {
		t.Errorf("an act that there is not: %d", a.code)
	}
	if a := p.act("item/freeze", "a b", "why"); a.code != 400 {
		t.Errorf("an item that there is not: %d", a.code)
	}
}

func TestAnItemIsFrozenAndReconciledAndItsPageTells(t *testing.T) {
	h := newHouse(t, secret)
	h.like("/blog/1", names("u", 3)...)
	p := h.login()
	if a := p.act("item/freeze", "/blog/1", " "); a.code != 422 || !strings.Contains(a.body, "Say why") {
		t.Errorf("without a reason: %d", a.code)
	}
	a := p.act("item/freeze", "/blog/1", "a <campaign>")
	if a.code != 303 || a.header.Get("Location") != "/console/item?id=%2Fblog%2F1&done=item%2Ffreeze" {
		t.Fatalf("%d %s %s", a.code, a.header, a.body)
	}
	page := p.get(a.header.Get("Location")).body
	for _, want := range []string{"It takes no new likes.", "frozen", "console ada", "a &lt;campaign&gt;", "Both sides count the same", ">Unfreeze<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	h.exec(`UPDATE item_counts SET count = 9 WHERE item_id = '/blog/1'`)
	if page = p.get("/console/item?id=%2Fblog%2F1").body; !strings.Contains(page, "The counts differ, and no change waits") {
		t.Error("a difference is not told")
	}
	if a = p.act("item/reconcile", "/blog/1", "they differ"); a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	page = p.get("/console/item?id=%2Fblog%2F1").body
	for _, want := range []string{"Both sides count the same", "not the sum of its rows", "<td>9</td><td>3</td>", "they differ"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a = p.act("item/unfreeze", "/blog/1", "over"); a.code != 303 {
		t.Errorf("unfreeze: %d", a.code)
	}
	if f, acts, err := h.ledger.FrozenItem(t.Context(), "/blog/1"); err != nil || f.Frozen || len(acts) != 3 || acts[0].Who != "console ada" {
		t.Errorf("%+v %+v %v", f, acts, err)
	}
}

// asked sends an act that can't be taken back as a person does: it is asked again,
// and only then done.
func (p *person) asked(key, id string) {
	p.t.Helper()
	a := p.act(key, id, "it hangs")
	if a.code != 200 || !strings.Contains(a.body, "I mean it") || !strings.Contains(a.body, `value="it hangs"`) {
		p.t.Fatalf("%s: %d %s", key, a.code, a.body)
	}
	if a = p.act(key, id, "it hangs", "asked", "yes"); a.code != 422 {
		p.t.Fatalf("%s without the tick: %d", key, a.code)
	}
	if a = p.act(key, id, "it hangs", "asked", "yes", "sure", "yes"); a.code != 303 {
		p.t.Fatalf("%s: %d %s", key, a.code, a.body)
	}
}

func TestSagasAreActedOnAndWhatIsFinalIsAskedTwice(t *testing.T) {
	h := newHouse(t, secret)
	for _, id := range []string{"sag_1", "sag_2", "sag_3"} {
		h.exec(`INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants, state, step, last_error, attempts)
		        VALUES ($1, 0, 1, 'post', $1, true, '{points,fraud}', 'pending', 1, 'no answer', 4)`, id)
	}
	p := h.login()
	if list := p.get("/console/sagas?state=pending&participant=fraud").body; strings.Count(list, "/console/saga?id=") != 3 {
		t.Error(list)
	}
	if a := p.act("saga/retry", "sag_1", "fraud is back"); a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	p.asked("saga/compensate", "sag_2")
	p.asked("saga/complete", "sag_3")
	for id, want := range map[string]string{"sag_1": ledger.SagaPending, "sag_2": ledger.SagaCompensating, "sag_3": ledger.SagaPending} {
		r, acts, err := h.ledger.Saga(t.Context(), id)
		if err != nil || r.State != want || len(acts) != 1 || acts[0].Who != "console ada" {
			t.Errorf("%s: %+v %+v %v", id, r, acts, err)
		}
	}
	page := p.get("/console/saga?id=sag_2&done=saga/compensate").body
	for _, want := range []string{"Noted; the next worker", "compensating", "it hangs", "points", "fraud"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a := p.act("saga/compensate", "sag_2", "again", "asked", "yes", "sure", "yes"); a.code != 409 {
		t.Errorf("twice: %d", a.code)
	}
	if a := p.act("saga/retry", "sag_none", "x"); a.code != 404 {
		t.Errorf("one that there is not: %d", a.code)
	}
	if a := p.act("sagas/retry", "all", "fraud is back"); a.code != 303 || a.header.Get("Location") != "/console/sagas?done=sagas%2Fretry" {
		t.Errorf("all: %d %s", a.code, a.header)
	}
}

func TestDeadLettersRevocationsAndNotificationsAreActedOn(t *testing.T) {
	h := newHouse(t, secret)
	h.like("post", names("u", 3)...)
	h.exec(`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
	        SELECT 0, n, 'post', 'd' || n, true, true, 'it said no' FROM generate_series(1, 2) n`)
	p := h.login()
	if a := p.act("letter/retry", "1", "mended"); a.code != 303 {
		t.Errorf("retry: %d %s", a.code, a.body)
	}
	p.asked("letter/drop", "2")
	if list := p.get("/console/letters?state=dropped").body; !strings.Contains(list, "letter?id=2") || strings.Contains(list, "letter?id=1\"") {
		t.Error(list)
	}

	look := p.send("POST", "/console/revoke", url.Values{"csrf": {p.csrf}, "users": {"u000\nu001\nnobody"}}).body
	for _, want := range []string{"2 likes", "by 2 users", ">post<", "u001"} {
		if !strings.Contains(look, want) {
			t.Errorf("the look lacks %q", want)
		}
	}
	if all, err := h.ledger.Revocations(t.Context(), "", 9); err != nil || len(all) != 0 {
		t.Fatalf("looking has begun it: %v %v", all, err)
	}
	if a := p.send("POST", "/console/revoke", url.Values{"csrf": {p.csrf}, "users": {"a%"}}); a.code != 400 {
		t.Errorf("no user: %d", a.code)
	}
	a := p.send("POST", "/console/revoke", url.Values{"csrf": {p.csrf}, "users": {"u000\r\nu001"}, "looked": {"yes"}, "reason": {"bots"}})
	if a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	id := strings.TrimPrefix(a.header.Get("Location"), "/console/revocation?id=")
	if page := p.get("/console/revocation?id=" + id).body; !strings.Contains(page, "0 of 2") || !strings.Contains(page, "bots") {
		t.Error(page)
	}
	p.asked("revocation/undo", id)

	h.exec(`UPDATE item_counts SET closes_at = now()`)
	_, err := h.ledger.CloseNotifications(t.Context(), []string{"hook"}, 9)
	must(t, err)
	h.exec(`UPDATE deliveries SET state = 'exhausted', attempts = 9, last_error = 'refused'`)
	if list := p.get("/console/notifications?state=exhausted").body; !strings.Contains(list, "refused") {
		t.Error(list)
	}
	if a := p.act("notification/resend", "1", "it is back"); a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	n, err := h.ledger.Notification(t.Context(), 1)
	if err != nil || n.State != "pending" || n.Deliveries[0].Attempts != 0 || len(n.Acts) != 1 || n.Acts[0].State != "exhausted" {
		t.Errorf("%+v %v", n, err)
	}
	if a := p.act("notification/resend", "1", "again"); a.code != 409 {
		t.Errorf("one that is on its way: %d", a.code)
	}
}
