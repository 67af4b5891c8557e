package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// together is a Shared in memory.
type together struct {
	mu    sync.Mutex
	full  map[string]time.Time
	away  bool
	names []string // that were asked for
}

func (s *together) Spend(_ context.Context, names []string, spent, depths []time.Duration) ([]time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errors.New("away")
	}
	if s.full == nil {
		s.full = map[string]time.Time{}
	}
	s.names = append(s.names, names...)
	now, levels := time.Now(), make([]time.Duration, len(names))
	for i, name := range names {
		levels[i] = min(max(s.full[name].Sub(now), 0)+spent[i], depths[i])
		s.full[name] = now.Add(levels[i])
	}
	return levels, nil
}

func (s *together) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func newLimits(t testing.TB, shared Shared, user, address Limit) *Limits {
	t.Helper()
	l, err := NewLimits(LimitOptions{User: user, Address: address, Shared: shared, Secret: testSecret, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return l
}

// run runs l's comparing until the test ends.
func run(t testing.TB, l *Limits) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

func limited(user, address Limit) func(*Options) {
	return func(o *Options) {
		o.Limits, _ = NewLimits(LimitOptions{User: user, Address: address, Shared: &together{}, Secret: testSecret, Log: o.Log})
	}
}

func TestAUserWhoAsksTooMuchIsToldWhenToComeBack(t *testing.T) {
	s := start(t, limited(Limit{Rate: 0.1, Burst: 3}, Limit{}))
	began := time.Now()
	told := func(got, format string, want int) bool { // seconds go by while a machine stands still
		for gone := 0; gone <= int(time.Since(began)/time.Second); gone++ {
			if got == fmt.Sprintf(format, want-gone) {
				return true
			}
		}
		return false
	}
	for n := range 3 {
		a := s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
		if a.status != 200 || !told(a.header.Get("RateLimit"), fmt.Sprintf(`"user";r=%d;t=%%d`, 2-n), 10*(n+1)) ||
			a.header.Get("RateLimit-Policy") != `"user";q=3;w=30` {
			t.Fatalf("%d %v", a.status, a.header)
		}
	}
	calls := s.store.applied()
	for _, ask := range []string{"PUT /v1/items/a/like", "GET /v1/items/a", "GET /v1/users/u/likes"} {
		method, target, _ := strings.Cut(ask, " ")
		a := s.do(t, method, target, "", as("u"))
		p := wantProblem(t, a, 429, "rate_limited")
		if !told(a.header.Get("Retry-After"), "%d", 10) || !told(a.header.Get("RateLimit"), `"user";r=0;t=%d`, 30) || !strings.Contains(p["detail"].(string), "this user") {
			t.Errorf("%s: %v %s", ask, a.header, a.body)
		}
	}
	if s.store.applied() != calls {
		t.Error("something was applied")
	}
	for _, headers := range [][]string{{as("v")}, {as("v"), asServer()}} {
		if a := s.do(t, "PUT", "/v1/items/a/like", "", headers...); a.status != 200 {
			t.Errorf("%v: %d %s", headers, a.status, a.body)
		}
	}
	wantProblem(t, s.do(t, "PUT", "/v1/items/a/like", "", as("u"), asServer()), 429, "rate_limited")
	for range 5 { // what servers send together, and what nobody asks, is not counted
		if a := s.do(t, "POST", "/v1/likes", `{"ops":[{"item":"a","user":"u","liked":true}]}`, asServer()); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := s.do(t, "GET", "/v1/items/a", ""); a.status != 200 || a.header.Get("RateLimit") != "" {
			t.Fatalf("%d %v", a.status, a.header)
		}
	}
}

func TestAnAddressThatAsksTooMuchIsToldBeforeItsCredentialsAreLookedAt(t *testing.T) {
	s := start(t, limited(Limit{Rate: 1000, Burst: 100}, Limit{Rate: 0.1, Burst: 4}))
	a := s.do(t, "GET", "/v1/items/a", "", as("u"))
	if a.header.Get("RateLimit") != `"address";r=3;t=10, "user";r=99;t=1` || a.header.Get("RateLimit-Policy") != `"address";q=4;w=40, "user";q=100;w=1` {
		t.Errorf("%v", a.header)
	}
	wantProblem(t, s.do(t, "GET", "/v1/items/a", "", "Authorization: Bearer guess"), 401, "bad_credentials")
	wantProblem(t, s.do(t, "GET", "/nowhere", ""), 404, "no_route")
	s.do(t, "PUT", "/v1/items/a/like", "", as("v"))
	for _, ask := range [][]string{{"GET", "/v1/items/a"}, {"PUT", "/v1/items/a/like"}, {"GET", "/nowhere"}, {"BREW", "/v1/items/a"}} {
		p := wantProblem(t, s.do(t, ask[0], ask[1], "", as("w"), "Authorization: Bearer guess"), 429, "rate_limited")
		if !strings.Contains(p["detail"].(string), "this address") {
			t.Error(p)
		}
	}
	if a := s.do(t, "GET", "/v1/items/a", "", asServer()); a.status != 200 {
		t.Errorf("a server with a key: %d %s", a.status, a.body)
	}
}

func TestABucketFillsAgainAtItsRate(t *testing.T) {
	b := newBuckets(Limit{Rate: 10, Burst: 5})
	now, granted := time.Hour, 0
	for range 10_000 { // ten seconds, a thousand requests in each
		if b.take(1, now).ok {
			granted++
		}
		now += time.Millisecond
	}
	if granted < 104 || granted > 105 {
		t.Errorf("%d requests in 10 s at 10/s after a burst of 5", granted)
	}
	if got := b.take(1, now+time.Minute); !got.ok || got.left != 4 {
		t.Errorf("after a minute: %+v", got)
	}
}

// Two processes and one user, who spreads his requests over both.
func TestProcessesLimitSomebodyTogether(t *testing.T) {
	shared := &together{}
	a := newLimits(t, shared, Limit{Rate: 0.01, Burst: 40}, Limit{})
	b := newLimits(t, shared, Limit{Rate: 0.01, Burst: 40}, Limit{})
	granted := 0
	round := func() {
		must(t, a.compare(t.Context(), a.users))
		must(t, b.compare(t.Context(), b.users))
		must(t, a.compare(t.Context(), a.users))
	}
	for range 100 {
		for _, l := range []*Limits{a, b} {
			if l.user("u").ok {
				granted++
			}
		}
		round()
	}
	if granted < 40 || granted > 50 { // a quarter of the burst more for the second one
		t.Errorf("%d requests were granted, want 40 to 50", granted)
	}
	for _, name := range shared.names {
		if name == "u" || len(name) != 22 {
			t.Fatalf("a shared bucket is named %q", name)
		}
	}
}

func TestWhatWasTakenWhileTheOthersAreAwayIsToldLater(t *testing.T) {
	shared := &together{}
	a := newLimits(t, shared, Limit{Rate: 0.01, Burst: 40}, Limit{})
	b := newLimits(t, shared, Limit{Rate: 0.01, Burst: 40}, Limit{})
	shared.set(true)
	for n := range 40 {
		if !a.user("u").ok {
			t.Fatalf("request %d is refused", n)
		}
		if a.compare(t.Context(), a.users) == nil && n > 10 {
			t.Fatal("it was reached")
		}
	}
	if a.user("u").ok {
		t.Error("alone it does not limit")
	}
	shared.set(false)
	must(t, a.compare(t.Context(), a.users))
	for range 11 { // to where b shares the bucket
		b.user("u")
	}
	must(t, b.compare(t.Context(), b.users))
	if b.user("u").ok {
		t.Error("the other process has not learned of it")
	}
}

// A user who keeps well below the rate is never refused, however long.
func TestSharingTakesNothingFromTheModest(t *testing.T) {
	shared := &ticking{}
	a := newLimits(t, shared, Limit{Rate: 10, Burst: 20}, Limit{})
	now := time.Hour
	for n := range 20_000 {
		now += 125 * time.Millisecond // 8/s
		shared.now = now
		if n%400 < 8 { // and some at once, now and then
			now -= 125 * time.Millisecond
		}
		t0 := a.users.take(7, now)
		if !t0.ok {
			t.Fatalf("request %d is refused", n)
		}
		if t0.near {
			a.users.share(7, []byte("u"))
		}
		if n%2 == 0 {
			keys, names, spent, depths := a.users.gather(now)
			levels, _ := shared.Spend(t.Context(), names, spent, depths)
			a.users.settle(keys, levels, now)
		}
	}
}

// ticking is a Shared with a clock of its own.
type ticking struct {
	now  time.Duration
	full map[string]time.Duration
}

func (s *ticking) Spend(_ context.Context, names []string, spent, depths []time.Duration) ([]time.Duration, error) {
	if s.full == nil {
		s.full = map[string]time.Duration{}
	}
	levels := make([]time.Duration, len(names))
	for i, name := range names {
		levels[i] = min(max(s.full[name]-s.now, 0)+spent[i], depths[i])
		s.full[name] = s.now + levels[i]
	}
	return levels, nil
}

func TestRunSharesUntilItsEnd(t *testing.T) {
	shared := &together{away: true}
	logged := &lockedBuffer{}
	l := newLimits(t, shared, Limit{}, Limit{Rate: 0.01, Burst: 4})
	l.log = slog.New(slog.NewTextHandler(logged, nil))
	run(t, l)
	for range 4 {
		l.address(netip.MustParseAddr("192.0.2.1"))
	}
	eventually(t, "the outage is told", func() bool { return strings.Contains(logged.String(), "away") })
	shared.set(false)
	eventually(t, "the bucket is shared", func() bool {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		return len(shared.names) > 0
	})
	if n := strings.Count(logged.String(), "\n"); n != 1 {
		t.Errorf("the outage is told %d times: %s", n, logged)
	}
}

func TestAnAddressIsWhatTrustedProxiesHaveSeen(t *testing.T) {
	id := newIdentity(t, IdentityOptions{Auth: AuthHeader, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
	}})
	const proxy, client = "127.0.0.1", "203.0.113.7"
	for name, c := range map[string]struct {
		peer    string
		headers []string
		want    string
	}{
		"no proxy":                             {client, nil, client},
		"no proxy, and a claim":                {client, []string{"X-Forwarded-For: 198.51.100.1"}, client},
		"no proxy, and a claim as Forwarded":   {client, []string{"Forwarded: for=198.51.100.1"}, client},
		"one proxy":                            {proxy, []string{"X-Forwarded-For: " + client}, client},
		"a claim in front of it":               {proxy, []string{"X-Forwarded-For: 198.51.100.1, " + client}, client},
		"a claim that a proxy sent it":         {proxy, []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.1, " + client}, client},
		"two proxies":                          {proxy, []string{"X-Forwarded-For: 198.51.100.1, " + client + ", 10.1.2.3"}, client},
		"two lines":                            {proxy, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: " + client}, client},
		"two lines, two proxies":               {proxy, []string{"X-Forwarded-For: " + client, "X-Forwarded-For: 10.1.2.3"}, client},
		"only proxies":                         {proxy, []string{"X-Forwarded-For: 10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
		"nothing":                              {proxy, nil, proxy},
		"empty":                                {proxy, []string{"X-Forwarded-For: "}, proxy},
		"garbage":                              {proxy, []string{"X-Forwarded-For: " + client + ", unknown"}, proxy},
		"garbage in front":                     {proxy, []string{"X-Forwarded-For: unknown, " + client}, client},
		"a port":                               {proxy, []string{"X-Forwarded-For: " + client + ":4711"}, client},
		"IPv6":                                 {proxy, []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1"},
		"IPv6 with brackets":                   {proxy, []string{"X-Forwarded-For: [2001:db8::1]"}, "2001:db8::1"},
		"IPv6 with a port":                     {proxy, []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv4 in IPv6":                         {proxy, []string{"X-Forwarded-For: ::ffff:203.0.113.7"}, client},
		"a proxy in IPv6 dress":                {proxy, []string{"X-Forwarded-For: " + client + ", ::ffff:10.0.0.1"}, client},
		"Forwarded":                            {proxy, []string{`Forwarded: for=203.0.113.7;proto=https;by=10.0.0.1`}, client},
		"Forwarded, quoted":                    {proxy, []string{`Forwarded: For="[2001:db8::1]:4711"`}, "2001:db8::1"},
		"Forwarded, a claim in front":          {proxy, []string{`Forwarded: for=198.51.100.1, for=203.0.113.7`}, client},
		"Forwarded, hidden":                    {proxy, []string{`Forwarded: for=_hidden`}, proxy},
		"Forwarded without for":                {proxy, []string{`Forwarded: by=203.0.113.7`}, proxy},
		"both, the same":                       {proxy, []string{"X-Forwarded-For: " + client, "Forwarded: for=203.0.113.7"}, client},
		"both, one of them the client's claim": {proxy, []string{"X-Forwarded-For: " + client, "Forwarded: for=198.51.100.1"}, proxy},
	} {
		req := &fasthttp.RequestHeader{}
		for _, h := range c.headers {
			k, v, _ := strings.Cut(h, ": ")
			req.Add(k, v)
		}
		if got := id.clientOf(req, netip.MustParseAddr(c.peer)); got.String() != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	l := newLimits(t, &together{}, Limit{}, Limit{Rate: 0.01, Burst: 2})
	for _, step := range []struct {
		address string
		ok      bool
	}{
		{"2001:db8:0:1::1", true},
		{"2001:db8:0:1:ffff::2", true},
		{"2001:db8:0:1::3", false},
		{"2001:db8:0:2::1", true},
		{"192.0.2.1", true},
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"192.0.2.2", true},
	} {
		if got := l.address(netip.MustParseAddr(step.address)).ok; got != step.ok {
			t.Errorf("%s: %v", step.address, got)
		}
	}
}

func TestLimitsThatCannotBeMeant(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, l := range []Limit{{-1, 1}, {1, 0}, {1, -1}, {1e9, 1}, {0.0001, 1}} {
		if _, err := NewLimits(LimitOptions{User: l, Shared: &together{}, Secret: testSecret, Log: log}); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
	if l, err := NewLimits(LimitOptions{}); l != nil || err != nil {
		t.Errorf("no limit: %v, %v", l, err)
	}
	if _, err := NewLimits(LimitOptions{User: Limit{1, 1}, Secret: testSecret, Log: log}); err == nil {
		t.Error("limits without anything shared")
	}
}

// TestAMillionUsersTakeNoMemory: neither users nor addresses nor items that were
// never seen before make anything grow.
func TestAMillionUsersTakeNoMemory(t *testing.T) {
	l := newLimits(t, &together{}, Limit{Rate: 0.01, Burst: 3}, Limit{Rate: 0.01, Burst: 3})
	users := 100_000
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		users = 1_000_000
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var victim int
	for n := range users {
		user := "user-" + strconv.Itoa(n)
		if !l.user(user).ok || !l.address(netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n), 1})).ok {
			t.Fatalf("%s is refused", user)
		}
		if n%1000 == 0 && l.user("victim").ok { // who asks all the time is not forgotten
			victim++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if victim > 3 {
		t.Errorf("a flood of users gave another one %d requests", victim)
	}
	if n := len(l.users.near) + len(l.addresses.near); n > 2*nearMost {
		t.Errorf("%d buckets are shared", n)
	}
	runtime.KeepAlive(l)
}

// TestAServerTakesNoMemoryByNewUsersAndItems sends each request as a new user to
// a new item and looks at everything that the server keeps.
func TestAServerTakesNoMemoryByNewUsersAndItems(t *testing.T) {
	requests := 30_000
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		requests = 1_000_000
	}
	id := newIdentity(t, IdentityOptions{Auth: AuthHeader})
	run := handlerWith(t, id, newLimits(t, &together{}, Limit{Rate: 1, Burst: 10}, Limit{Rate: 1e6, Burst: 1e6}))
	n := 0
	next := func() { n++; run("/v1/items/item-"+strconv.Itoa(n)+"/like", "user-"+strconv.Itoa(n)) }
	for range 1000 {
		next()
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range requests {
		next()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d requests have left %d bytes", requests, grown)
	}
	runtime.KeepAlive(run)
}
