package saga_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// quotaWindow is so long that none ends while a test runs, but once in years.
const quotaWindow = 1_000_000_000 * time.Millisecond

// units is what a user has used of the quota.
func (w *works) units(t tb, user string) int {
	t.Helper()
	key := "p1:{" + strconv.Itoa(counter.ShardOf(user, shards)) + "}:quota"
	all, err := w.rdb.HGetAll(t.Context(), key).Result()
	check(t, err)
	n, _ := strconv.Atoi(all[user])
	return n
}

// quotaAgrees waits until every user has used a unit for each like that was made, but
// for those that sagas have taken back.
func (w *works) quotaAgrees(t tb) {
	t.Helper()
	back := map[string]int{}
	keys, err := w.rdb.Keys(t.Context(), "p1:*:back:*").Result()
	check(t, err)
	for _, key := range keys {
		var user string
		_, id, _ := strings.Cut(key, ":back:")
		check(t, w.pool.QueryRow(t.Context(), `SELECT user_id FROM sagas WHERE id = $1 AND liked AND state = 'compensated'`, id).Scan(&user))
		back[user]++
	}
	deadline := time.Now().Add(5 * time.Second)
	for user, made := range w.made {
		for want := made - back[user]; w.units(t, user) != want; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s has used %d units, made %d likes, %d were taken back; sagas %q", user, w.units(t, user), made, back[user], w.sagas(t))
			}
		}
	}
}

func TestARejectedLikeGivesItsUnitBackOnce(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	w.want(t, "other", "ann", like.Liked)
	if n := w.units(t, "ann"); n != 2 {
		t.Fatalf("ann has used %d units before", n)
	}
	for _, applied := range []bool{false, true} { // dies before Redis has changed, and after
		_, err := w.newEngine(&faulty{Ledger: w.ledger, at: "return", applied: applied}).Turn(t.Context(), "")
		if err == nil {
			t.Error("it did not die")
		}
		w.later(t, 2*time.Hour)
	}
	w.drain(t)
	for _, applied := range []bool{false, true} { // the like is gone: now the unit
		_, err := w.newEngine(&faulty{Ledger: w.ledger, at: "return", applied: applied}).Turn(t.Context(), "")
		if err == nil {
			t.Error("it did not die")
		}
		w.later(t, 2*time.Hour)
	}
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); !strings.HasPrefix(got, "+compensated") {
		t.Error(got)
	}
	w.quotaAgrees(t)
	if n := w.units(t, "ann"); n != 1 {
		t.Errorf("ann has used %d units", n)
	}
}

func TestALikeThatItsUserHasUnlikedBeforeItIsTakenBackKeepsItsUnit(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	w.want(t, "page", "ann", like.NotLiked)
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); !strings.HasPrefix(got, "+compensated") {
		t.Error(got)
	}
	if n := w.units(t, "ann"); n != 1 {
		t.Errorf("ann has used %d units", n)
	}
	w.quotaAgrees(t)
}

// While Redis does not say whether it has taken a like back its saga waits.
func TestASagaWaitsForItsUnit(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	_, err := w.engine.Turn(t.Context(), "")
	check(t, err)
	w.drain(t)
	w.later(t, time.Hour)
	key := "p1:{" + strconv.Itoa(counter.ShardOf("ann", shards)) + "}:quota"
	check(t, w.rdb.Rename(t.Context(), key, key+"-aside").Err())
	check(t, w.rdb.Set(t.Context(), key, "damaged", 0).Err())
	_, err = w.engine.Turn(t.Context(), "")
	check(t, err)
	if got := fmt.Sprint(w.sagas(t)); !strings.Contains(got, "+ compensating") || !strings.Contains(got, "WRONGTYPE") {
		t.Errorf("sagas %s", got)
	}
	check(t, w.rdb.Rename(t.Context(), key+"-aside", key).Err())
	w.settle(t, w.engine)
	w.quotaAgrees(t)
}
