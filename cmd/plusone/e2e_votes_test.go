package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// votes calls about votes of an item with the server key.
func (h *house) votes(t *testing.T, method, item, ref string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.api+"/v1/items/"+item+"/votes/"+ref, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+h.key)
	return h.say(t, req)
}

func (h *house) vote(t *testing.T, item, ref string, weight int) (int, string) {
	t.Helper()
	return h.post(t, h.api+"/v1/items/"+item+"/votes", h.key, fmt.Sprintf(`{"ref":%q,"weight":%d}`, ref, weight))
}

func TestAVoteThatTheGatewayRepeatsCountsOnce(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	h.ask(t, "PUT", likeOf("page"), "ann")
	var all sync.WaitGroup
	answers := make([]string, 50)
	for i := range answers {
		all.Go(func() {
			code, body := h.vote(t, "page", "pay-1", 500)
			if code != http.StatusOK {
				t.Errorf("a vote: %d %s", code, body)
			}
			answers[i] = body
		})
	}
	all.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.Contains(a, `"weight":500,"state":"counted","count":501,"receipt":"`) {
			t.Errorf("answers: %s and %s", answers[0], a)
		}
	}
	if code, body := h.vote(t, "page", "pay-1", 501); code != http.StatusConflict || !strings.Contains(body, `"code":"vote_conflict"`) {
		t.Errorf("another weight: %d %s", code, body)
	}
	h.drained(t)
	must(t, h.rdb.FlushAll(t.Context()).Err())
	if _, body := h.vote(t, "page", "pay-1", 500); body != answers[0] {
		t.Errorf("after a FLUSHALL: %s, want %s", body, answers[0])
	}
	_, receipt, _ := strings.Cut(answers[0], `"receipt":"`)
	if s := h.state(t, strings.TrimSuffix(receipt, `"}`), "ann"); !strings.Contains(s, `"state":"persisted"`) {
		t.Errorf("its receipt says %s", s)
	}
	for range 50 {
		all.Go(func() {
			code, body := h.votes(t, "DELETE", "page", "pay-1")
			if code != http.StatusOK || !strings.Contains(body, `"weight":500,"state":"refunded","count":1,`) {
				t.Errorf("a refund: %d %s", code, body)
			}
		})
	}
	all.Wait()
	if _, body := h.votes(t, "DELETE", "page", "early"); !strings.Contains(body, `"weight":0,"state":"refunded"`) {
		t.Errorf("a refund before its vote: %s", body)
	}
	if _, body := h.vote(t, "page", "early", 9); !strings.Contains(body, `"state":"refunded","count":1,`) {
		t.Errorf("a vote after its refund: %s", body)
	}
	h.vote(t, "page", "pay-2", 30)
	h.drained(t)
	if n := h.ask(t, "GET", "/v1/items/page", "ann").Count; n != 31 {
		t.Errorf("the page counts %d", n)
	}
	sum := keyOf(t, h, "page", "votes")
	h.rdb.HIncrBy(t.Context(), sum, "page", 5)
	h.reconcile(t) // or the one that runs was faster
	if votes := h.rdb.HGet(t.Context(), sum, "page").Val(); votes != "30" {
		t.Errorf("after the damage was repaired redis has votes of %s", votes)
	}
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("findings of a second pass: %+v", found)
	}
}

// keyOf finds the key of an item's shard.
func keyOf(t *testing.T, h *house, item, name string) string {
	t.Helper()
	keys, err := h.rdb.Keys(t.Context(), "p1:{*}:"+name).Result()
	must(t, err)
	for _, k := range keys {
		if h.rdb.HExists(t.Context(), k, item).Val() {
			return k
		}
	}
	t.Fatalf("no shard has %s of %s", name, item)
	return ""
}

// say sends a request and returns status and body.
func (h *house) say(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: h.client.Transport}
	res, err := client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(text)
}
