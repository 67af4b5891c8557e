package tasks

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plusone/hotpath/like"
)

// names is a name server that answers a question for a name's IPv4 addresses with
// the next of its answers, the last one for ever.
type names struct {
	conn net.PacketConn
	mu   sync.Mutex
	next [][]string
	done chan struct{}
}

func newNames(t *testing.T, answers ...[]string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn, next: answers, done: make(chan struct{})}
	go n.serve()
	t.Cleanup(func() { _ = conn.Close(); <-n.done })
	return n
}

func (n *names) serve() {
	defer close(n.done)
	b := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = n.conn.WriteTo(n.answer(b[:size]), from)
	}
}

// answer repeats the question with a type A record per address, as RFC 1035 lays
// them out; other types have no records.
func (n *names) answer(question []byte) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root label, type and class
	reply := append([]byte(nil), question[:end]...)
	reply[2], reply[3] = 0x81, 0x80
	copy(reply[8:12], []byte{0, 0, 0, 0})
	if binary.BigEndian.Uint16(question[end-4:]) != 1 {
		return reply
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	reply[7] = byte(len(n.next[0]))
	for _, text := range n.next[0] {
		ip := netip.MustParseAddr(text).As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, ip[:]...)
	}
	if len(n.next) > 1 {
		n.next = n.next[1:]
	}
	return reply
}

// dialer is a publicDialer that asks n for names. It notes each address that
// would be dialled, and dials none of the public ones.
func (n *names) dialer(judged *[]string) *net.Dialer {
	d := publicDialer(time.Second)
	d.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", n.conn.LocalAddr().String())
	}}
	check := d.ControlContext
	var mu sync.Mutex
	d.ControlContext = func(ctx context.Context, network, address string, raw syscall.RawConn) error {
		err := check(ctx, network, address, raw)
		if err == nil {
			err = errors.New("public, but this is a test")
		}
		mu.Lock()
		defer mu.Unlock()
		host, _, _ := net.SplitHostPort(address)
		*judged = append(*judged, host)
		return err
	}
	return d
}

// TestANameThatChangesItsMindIsRefused: the address that is judged is the one
// that is dialled, each time anew.
func TestANameThatChangesItsMindIsRefused(t *testing.T) {
	hit := make(chan struct{}, 16)
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit <- struct{}{} }))
	t.Cleanup(inside.Close)
	u, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	var judged []string
	n := newNames(t, []string{"93.184.216.34"}, []string{"127.0.0.1"}, []string{"93.184.216.34"}, []string{"169.254.169.254"})
	w := testHook(t, "http://rebound.example.:"+u.Port()+"/", n.dialer(&judged))
	for attempt, forbidden := range []bool{false, true, false, true} {
		r := w.send(t.Context(), like.Notification{ID: "ntf_1"})
		if r == nil || errors.Is(r.why, ErrForbidden) != forbidden {
			t.Errorf("attempt %d: %+v", attempt, r)
		}
	}
	if want := []string{"93.184.216.34", "127.0.0.1", "93.184.216.34", "169.254.169.254"}; !slices.Equal(judged, want) {
		t.Errorf("judged %q, want %q", judged, want)
	}
	if len(hit) > 0 {
		t.Error("the inside was reached")
	}
}

// TestNumbersInOddSpellingsReachNobody: some resolvers take them for addresses,
// and answer with the address that is meant; others know no such host.
func TestNumbersInOddSpellingsReachNobody(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	t.Cleanup(inside.Close)
	u, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	var judged []string
	n := newNames(t, []string{"127.0.0.1"})
	for _, host := range []string{
		"2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "127.0.0.1.",
		"127.000.000.001", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
		"[2002:7f00:1::]", "[fd00:ec2::254]", "169.254.169.254", "100.100.100.200", "metadata.google.internal", "localhost.",
	} {
		w, err := newHook(Receiver{URL: "http://" + host + ":" + u.Port() + "/", Secrets: []string{testSecret}}, 5*time.Second, n.dialer(&judged))
		if err != nil {
			continue // refused at once
		}
		var unknown *net.DNSError
		if r := w.send(t.Context(), like.Notification{ID: "ntf_1"}); r == nil || !errors.Is(r.why, ErrForbidden) && !errors.As(r.why, &unknown) {
			t.Errorf("%s: %+v", host, r)
		}
		w.client.CloseIdleConnections()
	}
	if slices.ContainsFunc(judged, func(a string) bool { return checkPublic(netip.MustParseAddr(a)) == nil }) {
		t.Errorf("judged %q", judged)
	}
	for _, address := range []string{"http://127.0.0.1%2f@example.com/", "http://user@127.0.0.1/", "http://[fe80::1%25lo]/", "file:///etc/passwd", "gopher://127.0.0.1/", "http:///x"} {
		if _, err := newHook(Receiver{URL: address, Secrets: []string{testSecret}}, time.Second, publicDialer(time.Second)); err == nil {
			t.Errorf("%s is accepted", address)
		}
	}
}

// TestARedirectIsAnAnswerAndNotAWay: no status makes it go elsewhere, by no kind
// of target.
func TestARedirectIsAnAnswerAndNotAWay(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	t.Cleanup(inside.Close)
	var status int
	var target string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hook" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Location", target)
		w.Header().Set("Refresh", "0; url="+inside.URL)
		w.WriteHeader(status)
	}))
	t.Cleanup(receiver.Close)
	w := testHook(t, receiver.URL+"/hook", new(net.Dialer))
	for _, target = range []string{inside.URL, "/elsewhere", "http://169.254.169.254/latest/meta-data/"} {
		for _, status = range []int{300, 301, 302, 303, 304, 307, 308} {
			r := w.send(t.Context(), like.Notification{ID: "ntf_1"})
			if r == nil || r.gone || !strings.Contains(r.why.Error(), "answered 3") {
				t.Errorf("%d to %s: %+v", status, target, r)
			}
		}
	}
}
