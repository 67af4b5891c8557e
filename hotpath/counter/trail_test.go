package counter

import (
	"fmt"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestNotesOfTracesAreFoundByVersionBoundedAndExpire(t *testing.T) {
	r := realRig(t, Options{})
	const shard, parent = 1, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	at := func(ms, seq int64) like.Version { return like.Version(ms<<20 | seq) }
	keep := func(v like.Version) {
		t.Helper()
		ok(t, r.log.KeepTraces(t.Context(), parent, []like.Receipt{{Shard: shard, Version: v}}, []string{"post"}))
	}
	for _, v := range []like.Version{at(1000, 0), at(1000, 7), at(1001, 0), at(1002, 0)} {
		keep(v)
	}
	found, err := r.log.TracesIn(t.Context(), shard, at(1000, 0), at(1001, 0))
	ok(t, err)
	equal(t, "found", fmt.Sprint(found), fmt.Sprint([]Traced{{at(1000, 7), "post", parent}, {at(1001, 0), "post", parent}}))
	for i := range int64(tracesMost + 5) {
		keep(at(2000+i, 0))
	}
	n, err := r.rdb.ZCard(t.Context(), keysOf(shard).traces).Result()
	ok(t, err)
	equal(t, "notes", n, tracesMost)

	ok(t, r.log.KeepDrained(t.Context(), parent, []string{"post"}))
	drained, err := r.log.DrainedBy(t.Context(), []string{"other", "post"})
	ok(t, err)
	equal(t, "a note of nobody", drained[0].Parent, "")
	equal(t, "a drain's note", drained[1].Parent, parent)
	if age := time.Since(drained[1].At); age < 0 || age > time.Minute {
		t.Errorf("the note is %v old", age)
	}
	for _, key := range []string{keysOf(shard).traces, r.log.traceKey("post")} {
		if ttl := r.rdb.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > traceTime {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
}
