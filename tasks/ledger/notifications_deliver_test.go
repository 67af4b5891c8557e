package ledger_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

var errNo = errors.New("it answered 500")

func (n news) claim(seq int64, attempt int) bool {
	n.t.Helper()
	note, ok, err := n.ClaimDelivery(n.t.Context(), seq, "r", attempt, time.Hour)
	if err != nil || ok && note.Seq != seq {
		n.t.Fatal(note, err)
	}
	return ok
}

func (n news) fail(seq int64, attempt int, again *ledger.Again) bool {
	n.t.Helper()
	ok, err := n.Failed(n.t.Context(), seq, "r", attempt, errNo, again)
	if err != nil {
		n.t.Fatal(err)
	}
	return ok
}

func (n news) delivery(seq int64) ledger.Delivery {
	n.t.Helper()
	d, err := n.Delivery(n.t.Context(), seq, "r")
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

func TestManyClaimantsAtOnceGetOneAttempt(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	var wg sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		wg.Go(func() {
			if _, ok, err := n.ClaimDelivery(t.Context(), seq, "r", 0, time.Hour); err != nil {
				t.Error(err)
			} else if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d claims succeeded", won.Load())
	}
	if due, err := n.DueDeliveries(t.Context(), []string{"r"}, 10); err != nil || len(due) != 0 {
		t.Fatalf("a claimed delivery is due: %v %v", due, err)
	}
}

func TestAClaimThatRanOutIsForTheNextClaimant(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	if _, ok, err := n.ClaimDelivery(t.Context(), seq, "r", 0, 0); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if !n.claim(seq, 0) {
		t.Fatal("the attempt of a dead claimant stays claimed")
	}
}

func TestAnAttemptCountsOnceHoweverOftenItIsRecorded(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	n.claim(seq, 0)
	if !n.fail(seq, 0, &ledger.Again{}) || n.fail(seq, 0, &ledger.Again{}) || n.fail(seq, 0, nil) {
		t.Fatal("the first record is news, and no other")
	}
	if d := n.delivery(seq); d.Attempts != 1 || d.State != "pending" || d.Error != errNo.Error() {
		t.Fatalf("%+v", d)
	}
	if n.claim(seq, 0) || !n.claim(seq, 1) || n.claim(seq, 1) {
		t.Fatal("attempt 1 is the only one to claim, once")
	}
}

func TestTheLadderCountsFromTheFirstAttempt(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	n.claim(seq, 0)
	first := n.delivery(seq).FirstAt
	step := &ledger.Again{After: 5 * time.Minute, Gap: 4 * time.Minute}
	n.fail(seq, 0, step)
	if got := n.delivery(seq).NextAt.Sub(first); got != 5*time.Minute {
		t.Fatalf("the next attempt is %v after the first", got)
	}
	for name, c := range map[string]struct {
		again ledger.Again
		want  time.Duration
	}{
		"a rung that went by is taken its gap from now": {*step, 4 * time.Minute},
		"the receiver asks for more time":               {ledger.Again{After: time.Minute, Gap: time.Minute, AtLeast: time.Hour}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			n.exec(`UPDATE deliveries SET first_at = now() - interval '3h', attempts = 0`)
			before := time.Now()
			n.fail(seq, 0, &c.again)
			next := n.delivery(seq).NextAt
			if next.Before(before.Add(c.want-time.Second)) || next.After(time.Now().Add(c.want+time.Second)) {
				t.Fatalf("in %v, want %v", next.Sub(before), c.want)
			}
		})
	}
}

func TestAnExhaustedDeliveryIsNeverDueAgain(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	n.claim(seq, 0)
	n.fail(seq, 0, nil)
	if d := n.delivery(seq); d.State != "exhausted" || d.Attempts != 1 {
		t.Fatalf("%+v", d)
	}
	due, err := n.DueDeliveries(t.Context(), []string{"r"}, 10)
	pending, err2 := n.PendingDeliveries(t.Context(), 10)
	if n.claim(seq, 1) || len(due) != 0 || pending != 0 || err != nil || err2 != nil {
		t.Fatal(due, pending, err, err2)
	}
}

func TestALateSuccessIsATruthThatFailuresDoNotHide(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	n.claim(seq, 0)
	n.fail(seq, 0, nil) // by another claimant, who was refused
	if news, err := n.Delivered(t.Context(), seq, "r", 0); err != nil || !news {
		t.Fatal(news, err)
	}
	if news, err := n.Delivered(t.Context(), seq, "r", 0); err != nil || news {
		t.Fatal("delivered twice", err)
	}
	if d := n.delivery(seq); d.State != "delivered" || d.Attempts != 1 || d.Error != "" {
		t.Fatalf("%+v", d)
	}
}

func TestEveryReceiverHasItsOwnShareOfTheDue(t *testing.T) {
	n := newNews(t)
	for range 5 {
		n.one("a", "b", "gone from the settings")
	}
	n.exec(`UPDATE deliveries SET next_at = now() + interval '1h' WHERE receiver = 'b' AND seq = (SELECT min(seq) FROM deliveries)`)
	due, err := n.DueDeliveries(t.Context(), []string{"a", "b"}, 4)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, d := range due {
		got[d.Receiver]++
	}
	if len(got) != 2 || got["a"] != 4 || got["b"] != 4 {
		t.Fatal(got)
	}
}

func TestManyWhoTakeWhatIsDueTakeEachAttemptOnce(t *testing.T) {
	n := newNews(t)
	const deliveries = 20
	for range deliveries {
		n.one("r", "another")
	}
	first := n.all()[0].Seq
	n.claim(first, 0)
	n.fail(first, 0, &ledger.Again{})
	var mu sync.Mutex
	got := map[int64]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				note, attempt, ok, err := n.ClaimDue(t.Context(), "r", time.Hour)
				if err != nil {
					t.Error(err)
				}
				if !ok {
					return
				}
				if want := map[bool]int{true: 1}[note.Seq == first]; attempt != want || note.ID == "" || note.Item == "" {
					t.Errorf("attempt %d of %+v", attempt, note)
				}
				mu.Lock()
				got[note.Seq]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for seq, times := range got {
		if times != 1 {
			t.Errorf("%d was taken %d times", seq, times)
		}
	}
	if len(got) != deliveries {
		t.Errorf("%d of %d were taken", len(got), deliveries)
	}
}

func TestAnErrorThatIsNoTextIsKeptAllTheSame(t *testing.T) {
	n := newNews(t)
	seq := n.one("r")
	n.claim(seq, 0)
	if _, err := n.Failed(t.Context(), seq, "r", 0, errors.New("\x00\xff"+strings.Repeat("é", 1000)), nil); err != nil {
		t.Fatal(err)
	}
	if d := n.delivery(seq); d.Error == "" || len(d.Error) > 520 {
		t.Fatalf("%q", d.Error)
	}
}

func TestADeliveryThatIsNotThereIsNotFound(t *testing.T) {
	n := newNews(t)
	if _, err := n.Delivery(t.Context(), 1, "r"); !errors.Is(err, like.ErrNotFound) {
		t.Fatal(err)
	}
}
