package counter

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

func TestALogIsReadInOrderAndSaysWhatItCannotRead(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		for _, e := range []struct{ id, field, text string }{
			{"5-0", "m", "open"},
			{"5-1", "d", "a +u1 -u2\nb +u1"},
			{"5-2", "d", "a u1"},
			{"5-3", "x", "y"},
			{"6-2000000", "d", "a +u3"},
			{"8-0", "d", "c -u9"},
		} {
			ok(t, r.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: keysOf(1).log, ID: e.id, Values: []string{e.field, e.text}}).Err())
		}
		var got string
		after := like.Version(0)
		for range 6 { // one by one: nothing may be met twice
			entries, err := r.log.Read(t.Context(), 1, after, 1)
			ok(t, err)
			e := entries[0]
			got += fmt.Sprintf("%s %d %v; ", e.Version, len(e.Changes), e.Bad == nil)
			after = e.Version
		}
		equal(t, "entries", got, "5-0 0 true; 5-1 3 true; 5-2 0 false; 5-3 0 false; 7-0 0 false; 8-0 1 true; ")
		entries, err := r.log.Read(t.Context(), 1, after, 1)
		ok(t, err)
		equal(t, "left", len(entries), 0)
	})
}

func TestTrimKeepsWhatAPinNeedsAndTailTellsTheLastId(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		first := r.do("post", "u1", like.Liked)
		shard := first.Receipt.Shard
		pin, err := r.log.Pin(t.Context(), shard, []string{"post"})
		ok(t, err)
		equal(t, "pinned at", pin.At, first.Receipt.Version)
		second := r.do("post", "u2", like.Liked)
		third := r.do("post", "u3", like.Liked)
		err = r.log.Trim(t.Context(), shard, third.Receipt.Version)
		ok(t, err)
		left, err := r.log.Read(t.Context(), shard, pin.At, 10)
		ok(t, err)
		equal(t, "entries after the pin", len(left), 2)
		equal(t, "the first of them", left[0].Version, second.Receipt.Version)

		ok(t, pin.Release(t.Context()))
		err = r.log.Trim(t.Context(), shard, third.Receipt.Version)
		ok(t, err)
		tail, err := r.log.Tail(t.Context(), shard)
		ok(t, err)
		equal(t, "tail", tail, Tail{Last: third.Receipt.Version})
	})
}

func TestSettlingTellsOfNewerEntriesAndRemembersItems(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		first := r.do("post", "u1", like.Liked).Receipt
		second := r.do("post", "u2", like.Liked).Receipt
		settle := func(upTo like.Version, items ...string) bool {
			more, err := r.log.Settle(t.Context(), first.Shard, upTo, items)
			ok(t, err)
			return more
		}
		equal(t, "an entry is above", settle(first.Version, "post", "other"), true)
		equal(t, "none is", settle(second.Version, "post"), false)
		items, err := r.log.Recent(t.Context(), first.Shard, 10)
		ok(t, err)
		equal(t, "items remembered", len(items), 2)
	})
}

func TestAnUndoTakesBackOnceAndNothingNewer(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		change := func(user string, want like.Want) like.Change {
			res := r.do("post", user, want)
			return like.Change{Item: "post", User: user, Liked: want == like.Liked, Version: res.Receipt.Version}
		}
		shard := ShardOf("post", 4)
		undo := func(ch like.Change) bool {
			did, err := r.log.Undo(t.Context(), shard, ch)
			ok(t, err)
			return did
		}
		bad := change("bad", like.Liked)
		change("good", like.Liked)
		equal(t, "undone", undo(bad), true)
		equal(t, "again", undo(bad), true)
		r.checkItem("post", 1)
		change("bad", like.Liked)
		equal(t, "what was liked anew is kept", undo(bad), false)
		r.checkItem("post", 2)
		equal(t, "an unlike is undone, too", undo(change("good", like.NotLiked)), true)
		r.checkItem("post", 2)

		// More entries than one call of the script looks through.
		late, kept := change("late", like.Liked), change("kept", like.Liked)
		_, err := r.rdb.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
			for range 2_500 {
				pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: keysOf(shard).log, Values: []string{"m", "x"}})
			}
			return nil
		})
		ok(t, err)
		change("kept", like.NotLiked)
		change("kept", like.Liked)
		equal(t, "undone behind many entries", undo(late), true)
		equal(t, "kept behind many entries", undo(kept), false)
		r.checkItem("post", 3)
	})
}

func FuzzALogEntryIsReadWithoutPanic(f *testing.F) {
	f.Add("1-1", "a +u1 -u2\nb +u1")
	f.Add("99999999999999999999-1", "")
	f.Fuzz(func(t *testing.T, id, text string) {
		e := parseEntry(redis.XMessage{ID: id, Values: map[string]any{"d": text}})
		for _, ch := range e.Changes {
			if ch.Item == "" || ch.User == "" || ch.Version != e.Version {
				t.Errorf("%q %q: %+v", id, text, ch)
			}
		}
	})
}

func TestAMarkerTellsNothingOfHowLongALikeHasWaited(t *testing.T) {
	r := realRig(t, Options{}) // miniredis does not show the first entry
	add := func(id, field, text string) {
		t.Helper()
		ok(t, r.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: keysOf(1).log, ID: id, Values: []string{field, text}}).Err())
	}
	look := func() (Tail, like.Version) {
		t.Helper()
		tails, err := r.log.Tails(t.Context())
		ok(t, err)
		waits, err := r.log.Waits(t.Context(), 1, 0)
		ok(t, err)
		one, err := r.log.Tail(t.Context(), 1)
		ok(t, err)
		equal(t, "one of all tails", tails[1], one)
		equal(t, "a log that is not there", tails[0], Tail{})
		return one, waits
	}
	add("0-1", "m", "open")
	tail, waits := look()
	equal(t, "oldest", tail.Oldest, 0)
	equal(t, "waits", waits, 0)
	add("7-0", "d", "a +u1")
	tail, waits = look()
	equal(t, "length", tail.Len, 2)
	equal(t, "oldest", tail.Oldest, 0)
	equal(t, "waits", waits.String(), "7-0")
	ok(t, r.rdb.XDel(t.Context(), keysOf(1).log, "0-1").Err())
	tail, _ = look()
	equal(t, "oldest", tail.Oldest.String(), "7-0")
}
