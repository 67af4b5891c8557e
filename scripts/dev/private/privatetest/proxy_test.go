package privatetest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// pair is a Redis seen straight and through a proxy.
func pair(t *testing.T) (p *privatetest.Proxy, straight, through *redis.Client) {
	t.Helper()
	r := privatetest.Redis(t)
	p = privatetest.NewProxy(t, r.URL())
	o, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	straight = redis.NewClient(o)
	o2 := *o
	o2.Addr, o2.MaxRetries, o2.DialerRetries = p.Addr(), -1, 1
	o2.ReadTimeout = 200 * time.Millisecond
	through = redis.NewClient(&o2)
	t.Cleanup(func() { _, _ = straight.Close(), through.Close() })
	return p, straight, through
}

func TestAProxyPassesEverythingOn(t *testing.T) {
	_, straight, through := pair(t)
	if err := through.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if v := straight.Get(t.Context(), "k").Val(); v != "v" {
		t.Fatalf("k = %q", v)
	}
}

func TestADroppedReplyBelongsToACommandThatRan(t *testing.T) {
	p, straight, through := pair(t)
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.DropReplies(true)
	if err := through.Incr(t.Context(), "n").Err(); err == nil {
		t.Fatal("a reply came through")
	}
	if n := straight.Get(t.Context(), "n").Val(); n != "1" {
		t.Fatalf("n = %q: the command did not run once", n)
	}
	p.DropReplies(false)
	if n := through.Incr(t.Context(), "n").Val(); n != 2 {
		t.Fatalf("n = %d after replies came back", n)
	}
}

func TestACutNetworkReachesNothingAndComesBack(t *testing.T) {
	p, straight, through := pair(t)
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.Cut(true)
	for range 3 {
		if err := through.Incr(t.Context(), "n").Err(); err == nil {
			t.Fatal("a command came through a cut network")
		}
	}
	if n := straight.Exists(t.Context(), "n").Val(); n != 0 {
		t.Fatal("a command ran behind a cut network")
	}
	p.Cut(false)
	until := time.Now().Add(10 * time.Second)
	for through.Incr(t.Context(), "n").Err() != nil {
		if time.Now().After(until) {
			t.Fatal("the network did not come back")
		}
	}
}

func TestADelayIsAddedToEveryRequest(t *testing.T) {
	p, _, through := pair(t)
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	const d = 50 * time.Millisecond
	p.Delay(d)
	start := time.Now()
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < d {
		t.Fatalf("took %v, want at least %v", took, d)
	}
}
