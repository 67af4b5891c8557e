package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

// news is a ledger with two shards, for tests about notifications.
type news struct {
	*ledger.Ledger
	t      *testing.T
	pool   *pgxpool.Pool
	likers map[string][]string // of each item, by fold
	last   *like.Version
}

func newNews(t *testing.T) news {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), privatetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	n := news{ledger.New(pool), t, pool, map[string][]string{}, new(like.Version)}
	if err := ledger.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	n.exec(`INSERT INTO watermarks (shard) VALUES (0), (1)`)
	return n
}

func (n news) exec(sql string, args ...any) {
	n.t.Helper()
	if _, err := n.pool.Exec(n.t.Context(), sql, args...); err != nil {
		n.t.Fatal(err)
	}
}

// fold is a drain in which deltas happen one after the other: new users like an
// item, or those who came last do no more.
func (n news) fold(window time.Duration, deltas ...ledger.Delta) {
	n.t.Helper()
	b, err := n.Begin(n.t.Context(), 0)
	if err != nil {
		n.t.Fatal(err)
	}
	defer b.Rollback(n.t.Context())
	b.Fold(window)
	for _, d := range deltas {
		if _, err := b.Apply(n.t.Context(), n.rows(d)); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := b.Commit(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

func (n news) rows(d ledger.Delta) (rows []ledger.Row) {
	*n.last++
	users := n.likers[d.Item]
	for range d.Delta {
		user := fmt.Sprintf("u%04d", len(users))
		users, rows = append(users, user), append(rows, row(d.Item, user, true, *n.last))
	}
	for range -d.Delta {
		rows = append(rows, row(d.Item, users[len(users)-1], false, *n.last))
		users = users[:len(users)-1]
	}
	n.likers[d.Item] = users
	return rows
}

func (n news) closeAll(receivers ...string) int {
	n.t.Helper()
	closed, err := n.CloseNotifications(n.t.Context(), receivers, 1000)
	if err != nil {
		n.t.Fatal(err)
	}
	return closed
}

func (n news) all() []like.Notification {
	n.t.Helper()
	notes, err := n.Notifications(n.t.Context(), 0, 10_000)
	if err != nil {
		n.t.Fatal(err)
	}
	return notes
}

// one folds and closes one notification for receivers and returns its seq.
func (n news) one(receivers ...string) int64 {
	n.t.Helper()
	n.fold(-time.Second, ledger.Delta{Item: fmt.Sprint("item", len(n.all())), Delta: 1})
	if n.closeAll(receivers...) != 1 {
		n.t.Fatal("one window should have closed")
	}
	return n.all()[len(n.all())-1].Seq
}

func TestFlipsWithinAWindowAreOneNotification(t *testing.T) {
	n := newNews(t)
	n.exec(`INSERT INTO item_counts (item_id, bucket, count) VALUES ('a', 0, 7)`)
	n.fold(time.Hour, ledger.Delta{Item: "b", Delta: 2}, ledger.Delta{Item: "a", Delta: 1}, ledger.Delta{Item: "b", Delta: 3})
	n.fold(time.Hour, ledger.Delta{Item: "a", Delta: -1})
	n.fold(time.Hour)
	if n.closeAll("r") != 0 || len(n.all()) != 0 {
		t.Fatal("a window closed before its time")
	}
	n.exec(`UPDATE item_counts SET closes_at = now()`)
	if got := n.closeAll("r"); got != 2 {
		t.Fatalf("%d windows closed, want 2", got)
	}
	got := map[string][2]int64{}
	for _, note := range n.all() {
		got[note.Item] = [2]int64{note.Delta, note.Count}
		if note.ID == "" || note.To.Before(note.From) || note.State != "pending" || note.Attempts != 0 {
			t.Errorf("%+v", note)
		}
	}
	if want := (map[string][2]int64{"a": {0, 7}, "b": {5, 5}}); got["a"] != want["a"] || got["b"] != want["b"] {
		t.Fatalf("delta and count are %v, want %v", got, want)
	}
	n.fold(-time.Second, ledger.Delta{Item: "a", Delta: 1})
	if n.closeAll("r") != 1 {
		t.Fatal("a flip after the closing did not open the next window")
	}
}

func TestWithoutAWindowNothingIsFoldedAndNothingKeptForTheNextOne(t *testing.T) {
	n := newNews(t)
	n.fold(0, ledger.Delta{Item: "a", Delta: 5})
	if n.closeAll("r") != 0 {
		t.Fatal("there was a window")
	}
	n.fold(-time.Second, ledger.Delta{Item: "a", Delta: 2})
	if n.closeAll("r") != 1 || n.all()[0].Delta != 2 || n.all()[0].Count != 7 {
		t.Fatalf("%+v", n.all())
	}
	n.fold(0, ledger.Delta{Item: "a", Delta: 1})
	if n.closeAll("r") != 0 {
		t.Fatal("a closed window opened again")
	}
}

func TestAWindowThatAnOlderBinaryLeftIsClosed(t *testing.T) {
	n := newNews(t)
	n.exec(`INSERT INTO item_counts (item_id, bucket, count) VALUES ('a', 0, 7)`)
	n.exec(`
		INSERT INTO notifications (item_id, delta, closes_at)
		VALUES ('a', 2, now() - interval '1 second'), ('b', 1, now() + interval '1 hour')`)
	n.fold(-time.Second, ledger.Delta{Item: "a", Delta: 3})
	if got := n.closeAll("r"); got != 2 {
		t.Fatalf("%d windows closed, want 2", got)
	}
	deltas := map[int64]bool{}
	for _, note := range n.all() {
		deltas[note.Delta] = note.Item == "a" && note.Count == 10 && note.State == "pending"
	}
	if !deltas[2] || !deltas[3] {
		t.Fatalf("%+v", n.all())
	}
}

// Drains of both shards change the same items while closers close every window
// they can and a reader pages behind them. Each closed count must be the sum of
// the deltas up to it, and the reader must have seen every seq.
func TestClosersDrainsAndReadersAgreeWhileTheyRace(t *testing.T) {
	n := newNews(t)
	const drains, items = 60, 5
	var running atomic.Int32
	running.Store(2)
	var wg sync.WaitGroup
	for shard := range 2 {
		wg.Go(func() {
			defer running.Add(-1)
			for i := range drains {
				if err := n.drain(t.Context(), shard, i, items); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for last := false; !last; {
				last = running.Load() == 0
				if _, err := n.CloseNotifications(t.Context(), []string{"r"}, 3); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var seen []int64
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { seen = n.follow(stop) })
	wg.Wait()
	for n.closeAll("r") > 0 {
	}
	close(stop)
	reader.Wait()

	sums, seqs := map[string]int64{}, []int64{}
	for _, note := range n.all() {
		sums[note.Item] += note.Delta
		seqs = append(seqs, note.Seq)
		if note.Count != sums[note.Item] {
			t.Errorf("seq %d: %s counts %d, its deltas sum up to %d", note.Seq, note.Item, note.Count, sums[note.Item])
		}
	}
	if !slices.Equal(seen, seqs) {
		t.Errorf("the reader saw %d of %d notifications", len(seen), len(seqs))
	}
	for item, sum := range sums {
		if sum != 2*drains {
			t.Errorf("%s: deltas sum up to %d, want %d", item, sum, 2*drains)
		}
	}
}

func TestAClosingPassesByWhatADrainHolds(t *testing.T) {
	n := newNews(t)
	n.fold(-time.Second, ledger.Delta{Item: "free", Delta: 1}, ledger.Delta{Item: "held", Delta: 1})
	b, err := n.Begin(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Rollback(t.Context())
	b.Fold(time.Hour)
	if _, err := b.Apply(t.Context(), n.rows(ledger.Delta{Item: "held", Delta: 1})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if closed, err := n.CloseNotifications(ctx, nil, 10); err != nil || closed != 1 {
		t.Fatalf("%d closed beside a drain: %v", closed, err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.closeAll() != 1 || n.all()[1].Delta != 2 {
		t.Fatalf("%+v", n.all())
	}
}

// drain lets user i of shard like every item.
func (n news) drain(ctx context.Context, shard, i, items int) error {
	b, err := n.Begin(ctx, shard)
	if err != nil {
		return err
	}
	defer b.Rollback(ctx)
	rows := make([]ledger.Row, items)
	for k := range rows {
		rows[k] = ledger.Row{Item: fmt.Sprint("item", k), User: fmt.Sprint("user", shard, "-", i), Liked: true, Version: 1}
	}
	b.Fold(-time.Second)
	if _, err := b.Apply(ctx, rows); err != nil {
		return err
	}
	return b.Commit(ctx)
}

// follow pages by after until stop is closed and nothing new comes.
func (n news) follow(stop <-chan struct{}) (seqs []int64) {
	after := int64(0)
	for last := false; ; {
		notes, err := n.Notifications(n.t.Context(), after, 2)
		if err != nil {
			n.t.Error(err)
			return seqs
		}
		for _, note := range notes {
			after, seqs = note.Seq, append(seqs, note.Seq)
		}
		if last && len(notes) == 0 {
			return seqs
		}
		select {
		case <-stop:
			last = true
		default:
		}
	}
}

func TestWhatNobodyWasSetForWaitsUnaddressed(t *testing.T) {
	n := newNews(t)
	n.one()
	if note := n.all()[0]; note.State != ledger.Unaddressed || note.LastError != "" {
		t.Fatalf("%+v", note)
	}
}

func TestANotificationsStateIsThatOfItsWorstReceiver(t *testing.T) {
	for _, c := range []struct{ a, b, want, wantError string }{
		{"pending", "exhausted", "pending", "a"},
		{"pending", "delivered", "pending", "a"},
		{"delivered", "exhausted", "exhausted", "b"},
		{"delivered", "delivered", "delivered", "b"},
	} {
		t.Run(c.a+" and "+c.b, func(t *testing.T) {
			n := newNews(t)
			n.one("a", "b")
			n.exec(`UPDATE deliveries SET state = $1, attempts = 3, last_error = 'a' WHERE receiver = 'a'`, c.a)
			n.exec(`UPDATE deliveries SET state = $1, attempts = 4, last_error = 'b' WHERE receiver = 'b'`, c.b)
			n.exec(`UPDATE deliveries SET last_error = NULL WHERE state = 'delivered'`)
			if c.wantError == "b" && c.b == "delivered" {
				c.wantError = ""
			}
			note := n.all()[0]
			if note.State != c.want || note.Attempts != 4 || note.LastError != c.wantError {
				t.Fatalf("%+v", note)
			}
		})
	}
}

func TestPruningForgetsTheOldAndKeepsTheYoungAndTheOpen(t *testing.T) {
	n := newNews(t)
	n.fold(time.Hour, ledger.Delta{Item: "open", Delta: 1})
	n.exec(`
		INSERT INTO notifications (seq, item_id, delta, closes_at, closed_at)
		SELECT nextval('notifications_seq'), 'i' || g, 1, now(), now() - make_interval(hours => 5000 - g)
		FROM generate_series(1, 2500) g`)
	n.exec(`INSERT INTO deliveries (seq, receiver) SELECT seq, 'r' FROM notifications WHERE seq IS NOT NULL`)
	removed, err := n.PruneNotifications(t.Context(), 2900*time.Hour)
	if err != nil || removed != 2100 && removed != 2099 {
		t.Fatalf("%d removed: %v", removed, err)
	}
	var deliveries, open int64
	err = n.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM item_counts WHERE closes_at IS NOT NULL)`).Scan(&deliveries, &open)
	if err != nil || deliveries != 2500-removed || open != 1 {
		t.Fatalf("%d deliveries and %d open windows remain: %v", deliveries, open, err)
	}
}
