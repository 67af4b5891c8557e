package tasks_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"plusone/tasks"
)

func TestAnItemsChangesInOneWindowAreToldOnceAndSigned(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, status(204))
	both := to(rec.URL)
	both.Secrets = append(both.Secrets, secret("n"))
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{both}})
	s.exec(`INSERT INTO item_counts (item_id, bucket, count) VALUES ('/a?b=c&d', 0, 3)`)
	s.flip(1, "/a?b=c&d", "other")
	s.flip(-1, "/a?b=c&d")
	s.flip(1, "/a?b=c&d")
	s.run()
	soon(t, "both items told", func() bool { return s.metric("plusone_notifications_total", "delivered") == 2 })
	soon(t, "nothing pends", func() bool { return s.metric("plusone_notifications_pending", "") == 0 })
	got := rec.all()
	if len(got) != 2 {
		t.Fatalf("%d messages for two items", len(got))
	}
	for _, m := range got {
		verify(t, both.Secrets[0], m)
		verify(t, both.Secrets[1], m)
		if m.Type != "item.likes.changed" || m.header.Get("webhook-id") != m.Data.ID || m.Data.ID == "" || m.Data.Delta != 1 ||
			m.Data.From.IsZero() || !m.Data.To.After(m.Data.From) {
			t.Errorf("%s", m.body)
		}
		if want := map[string]int64{"/a?b=c&d": 4, "other": 1}[m.Data.Item]; m.Data.Count != want {
			t.Errorf("%s counts %d, want %d", m.Data.Item, m.Data.Count, want)
		}
	}
	for _, note := range s.notes() {
		if note.State != "delivered" || note.Attempts != 1 {
			t.Errorf("%+v", note)
		}
	}
}

func TestAReceiverThatFailsGetsTheWholeLadderAndNoMore(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	ladder := []time.Duration{100 * ms, 300 * ms, 500 * ms, 700 * ms, 1000 * ms, 1300 * ms, 1700 * ms, 2200 * ms}
	bad := newReceiver(t, status(500))
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(bad.URL)}, Ladder: ladder})
	s.run()
	s.flip(1, "first")
	soon(t, "exhausted", func() bool { return len(s.notes()) == 1 && s.notes()[0].State == "exhausted" })
	if note := s.notes()[0]; note.Attempts != 9 || note.LastError != "it answered 500" {
		t.Errorf("%+v", note)
	}
	s.flip(1, "second")
	soon(t, "the second item's whole ladder", func() bool { return len(bad.all()) >= 18 && s.notes()[1].State == "exhausted" })

	attempts := map[string][]told{}
	for _, m := range bad.all() {
		attempts[m.Data.Item] = append(attempts[m.Data.Item], m)
	}
	for item, got := range attempts {
		if len(got) != 9 {
			t.Fatalf("%s: %d attempts, want 9", item, len(got))
		}
		for i, m := range got[1:] {
			// The first attempt was no earlier than its window's end, whenever it was
			// noticed. The sum of all rungs would be 5.6 s late.
			if late := m.at.Sub(m.Data.To) - ladder[i]; late < -ms || late > 5*time.Second {
				t.Errorf("%s: attempt %d came %v after its time", item, i+1, late)
			}
			if !bytes.Equal(m.body, got[0].body) || m.header.Get("webhook-id") != got[0].header.Get("webhook-id") {
				t.Errorf("%s: attempt %d is another message", item, i+1)
			}
		}
	}
	soon(t, "the last attempt counted", func() bool { return s.metric("plusone_notifications_total", "exhausted") == 2 })
	if f := s.metric("plusone_notifications_total", "failed"); f != 16 {
		t.Errorf("counted %v failed", f)
	}
}

func TestAReceiverThatHangsDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	stuck, well := newReceiver(t, hang), newReceiver(t, status(200))
	s := newStage(t, tasks.NotifyConfig{
		Receivers: []tasks.Receiver{to(stuck.URL), to(well.URL)},
		Timeout:   15 * time.Second, Ladder: []time.Duration{time.Minute},
	})
	s.run()
	items := make([]string, 100)
	for i := range items {
		items[i] = fmt.Sprint("item", i)
	}
	s.flip(1, items...)
	start := time.Now()
	soon(t, "all told to the one that is well", func() bool { return len(well.all()) == len(items) })
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v beside a receiver that hangs", took)
	}
	soon(t, "it has its share of the attempts", func() bool { return len(stuck.all()) >= 4 })
	if n := len(stuck.all()); n != 4 {
		t.Errorf("%d attempts at once at the one that hangs, its share is 4", n)
	}
}

func TestWhileRedisIsAwayWindowsCloseAndLaterTheyAreTold(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, status(200))
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}})
	s.rdb.Cut(true)
	s.run()
	s.flip(1, "item")
	soon(t, "closed", func() bool { return len(s.notes()) == 1 })
	if len(rec.all()) != 0 {
		t.Error("told without a doorbell")
	}
	s.rdb.Cut(false)
	soon(t, "told", func() bool { return len(rec.all()) == 1 })
}

func TestWithoutReceiversWindowsCloseToBeAskedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, tasks.NotifyConfig{})
	s.run()
	s.flip(1, "item")
	soon(t, "closed", func() bool { return len(s.notes()) == 1 })
	if note := s.notes()[0]; note.State != "unaddressed" {
		t.Errorf("%+v", note)
	}
}

func TestTwoNotifiersAtOnceTellOnce(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(i int, w http.ResponseWriter, _ *http.Request) {
		if i < 10 {
			w.WriteHeader(503)
		}
	})
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}, Ladder: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond}})
	s.run()
	s.run()
	items := make([]string, 30)
	for i := range items {
		items[i] = fmt.Sprint("item", i)
	}
	s.flip(1, items...)
	soon(t, "all told", func() bool { return s.metric("plusone_notifications_total", "delivered") == 30 })
	if n := len(rec.all()); n != 40 {
		t.Errorf("%d messages for 30 items of which 10 failed once", n)
	}
}
