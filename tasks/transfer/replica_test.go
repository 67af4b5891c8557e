package transfer_test

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

// promote makes Redis what a replica is that takes over, with what it has heard of: copy,
// or all.
func (w *works) promote(copied map[string]string) {
	w.tb.Helper()
	ctx := w.tb.Context()
	_, err := w.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		if copied != nil {
			pipe.FlushAll(ctx)
		}
		for name, dump := range copied {
			pipe.Restore(ctx, name, 0, dump)
		}
		pipe.SlaveOf(ctx, "127.0.0.1", "1")
		pipe.SlaveOf(ctx, "NO", "ONE")
		pipe.ClientKillByFilter(ctx, "TYPE", "normal")
		return nil
	})
	check(w.tb, err)
}

// copy is what a replica has that stops to follow now.
func (w *works) copy() map[string]string {
	w.tb.Helper()
	names, err := w.rdb.Keys(w.tb.Context(), "p1:*").Result()
	check(w.tb, err)
	all := map[string]string{}
	for _, name := range names {
		dump, err := w.rdb.Dump(w.tb.Context(), name).Result()
		if !errors.Is(err, redis.Nil) { // it had a time to live
			check(w.tb, err)
			all[name] = dump
		}
	}
	return all
}

// count is what an item has as soon as Redis is believed.
func (w *works) count(item string) int64 {
	w.tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		readings, err := w.Read(w.tb.Context(), []string{item}, "")
		if err == nil {
			return readings[0].Count
		}
		if time.Now().After(deadline) {
			w.tb.Fatal(err)
		}
	}
}

// The item was evicted before the import, so the import changes nothing in Redis. A
// replica that has not heard of the eviction has it still.
func TestARedisThatHasNotHeardOfAnImportIsNotBelieved(t *testing.T) {
	for name, evicted := range map[string]bool{"the item is resident": false, "it has been evicted": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			w.want("i", like.Liked, "ann")
			w.drain()
			before := w.copy()
			if evicted {
				dropped, err := w.log.Evict(t.Context(), counter.ShardOf("i", shards), []string{"i"})
				if err != nil || dropped != 1 {
					t.Fatal(dropped, err)
				}
			}
			w.bring("i,bob,true")
			w.promote(before)
			if n := w.count("i"); n != 2 {
				t.Errorf("it counts %d", n)
			}
			w.likes()
		})
	}
}

func TestAnImportDoesNotHideThatALogHasLostItsEnd(t *testing.T) {
	w := newWorks(t)
	w.want("i", like.Liked, "ann")
	w.drain()
	before := w.copy()
	w.want("i", like.Liked, "bob")
	w.drain()
	w.promote(before)
	w.bring("i,carl,true")
	if n := w.count("i"); n != 3 {
		t.Errorf("it counts %d", n)
	}
	w.likes()
}

func TestAnImportThatMeetsTwoRedisesIsRepeated(t *testing.T) {
	w := newWorks(t)
	w.want("i", like.Liked, "ann")
	w.bring("i,bob,true")
	w.drain()
	held, err := w.pool.Begin(t.Context())
	check(t, err)
	defer func() { _ = held.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = held.Exec(t.Context(), `SELECT FROM likes WHERE user_id = 'bob' FOR UPDATE`)
	check(t, err)
	imported := make(chan error, 1)
	go func() {
		src, err := transfer.OpenFile(bufio.NewReader(strings.NewReader("item,user,liked\ni,bob,false")), transfer.CSV, transfer.Mapping{})
		if err == nil {
			_, err = w.importer.Run(t.Context(), src, ledger.ImportRun{}, noRejects, func(ledger.ImportRun) error { return nil })
		}
		imported <- err
	}()
	w.await("the import waits for a row", `SELECT count(*) FROM pg_locks WHERE NOT granted`)
	w.promote(nil)
	check(t, held.Rollback(t.Context()))
	check(t, <-imported)
	entries, err := w.log.Read(t.Context(), counter.ShardOf("i", shards), 0, 10)
	if err != nil || len(entries) != 2 {
		t.Errorf("the log has %v, %v, instead of a marker of each try", entries, err)
	}
	if n := w.count("i"); n != 1 {
		t.Errorf("it counts %d", n)
	}
	w.likes()
}

func TestWhoLooksAtAnotherRedisWaitsForImports(t *testing.T) {
	w := newWorks(t)
	im, err := w.ledger.BeginImport(t.Context(), shards, 0)
	check(t, err)
	defer im.Rollback(context.WithoutCancel(t.Context()))
	settled := make(chan like.Bounds, 1)
	go func() {
		known, err := w.ledger.Settled(t.Context(), shards, 0)
		if err != nil {
			t.Error(err)
		}
		settled <- known
	}()
	w.await("it waits", `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)
	check(t, im.Note(t.Context(), 4711))
	check(t, im.Commit(t.Context()))
	if known := <-settled; known.End != 4711 || known.Floor != 4711 || known.Watermark != 0 {
		t.Errorf("it settles at %+v", known)
	}
}

// await waits until a query's number is not zero.
func (w *works) await(what, sql string) {
	w.tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		var n int
		check(w.tb, w.pool.QueryRow(w.tb.Context(), sql).Scan(&n))
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			w.tb.Fatal("not in time: " + what)
		}
	}
}
