package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

func TestMigratorsThatRunAtOnceWaitForEachOther(t *testing.T) {
	pool := emptyPool(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := ledger.Migrate(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, ledger.New(pool).CheckSchema(t.Context()))
	must(t, ledger.Migrate(t.Context(), pool))
}

func TestAnOlderSchemaIsRefusedAndANewerOneIsNot(t *testing.T) {
	pool := emptyPool(t)
	l := ledger.New(pool)
	err := l.CheckSchema(t.Context())
	if !errors.Is(err, ledger.ErrOldSchema) || !strings.Contains(err.Error(), "version 0") {
		t.Fatalf("an empty database: %v", err)
	}
	must(t, ledger.Migrate(t.Context(), pool))
	must(t, l.CheckSchema(t.Context()))
	_, err = pool.Exec(t.Context(), `INSERT INTO plusone_migrations (version_id, is_applied) VALUES (9999, true)`)
	must(t, err)
	must(t, l.CheckSchema(t.Context()))
	steps, err := ledger.MigrationStatus(t.Context(), pool)
	must(t, err)
	first, last := steps[0], steps[len(steps)-1]
	if first.Version != 1 || first.Name != "0001_likes.sql" || first.At.IsZero() {
		t.Fatalf("the first step is %+v", first)
	}
	if last.Version != 9999 || last.Name != "" || last.At.IsZero() {
		t.Fatalf("a newer binary's step is %+v", last)
	}
}

func TestTheFirstProcessLaysTheLedgerOutForAll(t *testing.T) {
	pool := emptyPool(t)
	must(t, ledger.Migrate(t.Context(), pool))
	s := store{ledger.New(pool), pool, t}
	layouts := make([]ledger.Layout, 8)
	var wg sync.WaitGroup
	for i := range layouts {
		wg.Go(func() {
			var err error
			if layouts[i], err = s.Layout(t.Context(), 16); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, l := range layouts {
		if l.Shards != 16 || len(l.Secret) != 32 || !bytes.Equal(l.Secret, layouts[0].Secret) {
			t.Fatalf("layouts differ: %+v, %+v", l, layouts[0])
		}
	}
	marks, err := s.Watermarks(t.Context())
	if err != nil || len(marks) != 16 {
		t.Fatalf("%d watermarks, %v", len(marks), err)
	}
	l, err := s.Layout(t.Context(), 8)
	if !errors.Is(err, ledger.ErrShardsDiffer) || l.Shards != 16 || !strings.Contains(err.Error(), "asked for 8, the ledger has 16") {
		t.Fatalf("8 shards: %+v, %v", l, err)
	}
	if l, err = s.Layout(t.Context(), 0); err != nil || l.Shards != 16 {
		t.Fatalf("whatever the ledger has: %+v, %v", l, err)
	}
	s.exec(`DELETE FROM layout`)
	if l, err = s.Layout(t.Context(), 0); err != nil || l.Shards != like.DefaultShards {
		t.Fatalf("a new ledger: %+v, %v", l, err)
	}
	for _, n := range []int{-1, 3, 8192} {
		if _, err := s.Layout(t.Context(), n); err == nil {
			t.Fatalf("%d shards were accepted", n)
		}
	}
}

func TestAMissingWatermarkStartsAboveEverythingKnown(t *testing.T) {
	s := newStore(t)
	s.exec(`UPDATE watermarks SET version = 70, floor = 90 WHERE shard = 2`)
	s.exec(`DELETE FROM watermarks WHERE shard = 1`)
	if known, err := s.Bounds(t.Context(), 2); err != nil || known != (like.Bounds{Watermark: 70, End: 70, Floor: 90}) {
		t.Fatal(known, err)
	}
	if known, err := s.Bounds(t.Context(), 1); err != nil || known != (like.Bounds{Floor: 90}) {
		t.Fatal(known, err)
	}
}

func TestChangedShardsAllStartAboveAllOldVersions(t *testing.T) {
	for _, to := range []int{2, 8} {
		s := newStore(t)
		s.exec(`UPDATE watermarks SET version = 50 + shard, floor = 60 - shard`)
		s.exec(`INSERT INTO import_marks VALUES (1, 70)`)
		if err := s.ChangeShards(t.Context(), 16, to); !errors.Is(err, ledger.ErrShardsDiffer) {
			t.Fatalf("from a number that is not the ledger's: %v", err)
		}
		must(t, s.ChangeShards(t.Context(), 4, to))
		l, err := s.Layout(t.Context(), to)
		if err != nil || l.Shards != to || len(l.Secret) != 32 {
			t.Fatalf("%+v, %v", l, err)
		}
		marks, err := s.Watermarks(t.Context())
		must(t, err)
		if len(marks) != to {
			t.Fatalf("%d watermarks for %d shards", len(marks), to)
		}
		for shard := range to {
			want := like.Bounds{Watermark: 71, End: 71, Floor: 71}
			if known, err := s.Bounds(t.Context(), shard); err != nil || known != want {
				t.Fatalf("shard %d has %+v, %v; want %+v", shard, known, err, want)
			}
			if known, err := s.Settled(t.Context(), to, shard); err != nil || known != want {
				t.Fatalf("shard %d settles at %+v, %v; want %+v", shard, known, err, want)
			}
			if _, err = s.Settled(t.Context(), 4, shard); !errors.Is(err, ledger.ErrShardsDiffer) {
				t.Fatalf("shard %d for who has not heard of the change: %v", shard, err)
			}
		}
		if err := s.ChangeShards(t.Context(), to, 12); err == nil {
			t.Fatal("12 shards were accepted")
		}
	}
}

func TestAChangeOfShardsWaitsForDrains(t *testing.T) {
	s := newStore(t)
	b, err := s.Begin(t.Context(), 3)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.ChangeShards(t.Context(), 4, 8) }()
	eventually(t, "the change waits for a lock", func() bool {
		return s.number(`SELECT count(*) FROM pg_locks WHERE NOT granted`) > 0
	})
	must(t, b.Advance(t.Context(), 1000))
	must(t, b.Commit(t.Context()))
	must(t, <-done)
	if known, err := s.Bounds(t.Context(), 0); err != nil || known.Floor != 1001 {
		t.Fatalf("%+v, %v: the drain before the change is not in it", known, err)
	}
}

func TestOneDrainAtATimeHoldsAShard(t *testing.T) {
	s := newStore(t)
	s.in(func(ctx context.Context, b *ledger.Batch) {
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, err := s.Begin(soon, 0); !errors.Is(err, ledger.ErrLocked) {
			t.Fatalf("a second drain of the shard: %v", err)
		}
		other, err := s.Begin(ctx, 1)
		must(t, err)
		other.Rollback(ctx)
		must(t, b.Advance(ctx, 20))
	})
	s.in(func(ctx context.Context, b *ledger.Batch) {
		if b.Watermark() != 20 || b.Shard() != 0 {
			t.Fatalf("shard %d at %d", b.Shard(), b.Watermark())
		}
		must(t, b.Advance(ctx, 10))
	})
	if known, err := s.Bounds(t.Context(), 0); err != nil || known != (like.Bounds{Watermark: 20, End: 20, Floor: 20}) {
		t.Fatalf("the watermark went back: %+v, %v", known, err)
	}
	if _, err := s.Begin(t.Context(), 77); !errors.Is(err, like.ErrNotFound) {
		t.Fatalf("a shard that is not there: %v", err)
	}
	if n := s.pool.Stat().AcquiredConns(); n != 0 {
		t.Fatalf("%d connections were not given back", n)
	}
}

func TestDeadLettersHoldAnyBytesOnce(t *testing.T) {
	s := newStore(t)
	ch := like.Change{Item: "i\xff" + strings.Repeat("é", 4000), User: "u\x00", Liked: true, Version: 5}
	for range 2 {
		s.in(func(ctx context.Context, b *ledger.Batch) {
			must(t, b.DeadLetter(ctx, ch, true, errors.New("no \xfe thing")))
			liked, err := b.Liked(ctx, ch.Item, ch.User)
			if err != nil || liked {
				t.Fatal(liked, err)
			}
		})
	}
	if n := s.number(`SELECT count(*) FROM dead_letters WHERE user_id = '"u\x00"' AND item_id LIKE '"i\\xff%'
		AND error = '"no \xfe thing"' AND version = 5 AND undone AND liked`); n != 1 {
		t.Fatalf("%d letters", n)
	}
}

func TestAReceiptTellsHowFarItsChangeIs(t *testing.T) {
	s := newStore(t)
	now := like.Version(s.number(`SELECT (extract(epoch FROM now()) * 1000)::bigint << 20`))
	const hour = like.Version(3600_000) << 20
	s.in(func(ctx context.Context, b *ledger.Batch) {
		for user, undone := range map[string]bool{"undone": true, "kept": false} {
			must(t, b.DeadLetter(ctx, like.Change{Item: "i", User: user, Liked: true, Version: now - 1}, undone, errors.New("bad")))
		}
		must(t, b.Advance(ctx, now))
	})
	for _, c := range []struct {
		receipt like.Receipt
		user    string
		want    like.State
	}{
		{like.Receipt{Shard: 0, Version: now - 1}, "u", like.Persisted},
		{like.Receipt{Shard: 0, Version: now}, "u", like.Persisted},
		{like.Receipt{Shard: 0, Version: now + 1}, "u", like.Accepted},
		{like.Receipt{Shard: 1, Version: now}, "u", like.Accepted},
		{like.Receipt{Shard: 0, Version: now - 1}, "undone", like.Compensated},
		{like.Receipt{Shard: 0, Version: now - 1}, "kept", like.Rejected},
		{like.Receipt{Shard: 0, Version: now - 2}, "kept", like.Persisted},
		{like.Receipt{Shard: 0, Version: now + hour}, "u", ""},
		{like.Receipt{Shard: 4, Version: now}, "u", ""},
	} {
		got, err := s.ReceiptState(t.Context(), c.receipt, c.user)
		if got.State != c.want || (c.want == "") != errors.Is(err, like.ErrNotFound) {
			t.Errorf("%v of %s: %q, %v; want %q", c.receipt, c.user, got.State, err, c.want)
		}
	}
}

func TestAStoreThatIsAwayIsUnavailable(t *testing.T) {
	s := newStore(t)
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, late := s.Counts(ended, []string{"i"}, nil)
	must(t, func() error { // the server ends the connection, as a shutdown does
		b, err := s.Begin(t.Context(), 0)
		must(t, err)
		s.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'`)
		_, killed := b.Apply(t.Context(), []ledger.Row{row("i", "u", true, 1)})
		closed := b.Commit(t.Context())
		b.Rollback(t.Context())
		for name, err := range map[string]error{"late": late, "killed": killed, "closed": closed} {
			if !errors.Is(err, like.ErrUnavailable) || errors.Is(err, ledger.ErrRefused) {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}())
	must(t, s.Ping(t.Context()))
}
