package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// smuggled stands behind every request of the corpus: bytes that two parsers of
// different minds may take for a body, or for another request.
var smuggled = request("PUT", "/v1/items/smuggled/like", "", as("somebody"), "Connection: close")

// What may become of a request of the corpus.
const (
	refused = "refused" // one answer, 400, the connection is closed, nothing is applied
	last    = "last"    // applied, and the last of its connection
	whole   = "whole"   // applied, and so is what follows: there is one way to read it
)

// TestNoRequestIsSmuggled sends what is known to divide parsers over raw sockets.
func TestNoRequestIsSmuggled(t *testing.T) {
	const line, fields = "PUT /v1/items/a/like HTTP/1.1\r\n", "Host: likes\r\nX-User-ID: u\r\n"
	const head, head10 = line + fields, "PUT /v1/items/a/like HTTP/1.0\r\n" + fields
	chunked := func(body string) string { return head + "Transfer-Encoding: chunked\r\n\r\n" + body }
	for _, c := range []struct{ fate, name, bytes string }{
		// A length and chunks.
		{refused, "CL and TE", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{refused, "TE and CL", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
		{refused, "CL 0 and TE", head + "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"},
		{refused, "TE in HTTP/1.0", head10 + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		// Encodings that are not plainly "chunked".
		{refused, "xchunked", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{refused, "a space before the colon", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{refused, "a vertical tab", head + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"},
		{refused, "a NUL after it", head + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n"},
		{refused, "twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{refused, "twice, one unknown", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n"},
		{refused, "a list", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{refused, "a list, chunked first", head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
		{refused, "identity", head + "Transfer-Encoding: identity\r\n\r\n"},
		{refused, "identity and CL", head + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"},
		{refused, "quoted", head + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
		{refused, "a parameter", head + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
		{refused, "empty", head + "Transfer-Encoding: \r\n\r\n"},
		{refused, "folded", head + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
		{refused, "behind a bare LF", head + "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{refused, "behind a bare CR", head + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{refused, "behind a space", head + " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{last, "a tab before it", head + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"},
		{last, "in capitals", head + "TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n"},
		{whole, "another header", head + "Transfer_Encoding: chunked\r\n\r\n"},
		// Lengths.
		{refused, "CL twice", head + "Content-Length: 0\r\nContent-Length: 3\r\n\r\nabc"},
		{refused, "CL twice the same", head + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"},
		{refused, "CL as a list", head + "Content-Length: 3, 3\r\n\r\nabc"},
		{refused, "CL with a plus", head + "Content-Length: +3\r\n\r\nabc"},
		{refused, "CL with a minus", head + "Content-Length: -3\r\n\r\nabc"},
		{refused, "CL in hex", head + "Content-Length: 0x3\r\n\r\nabc"},
		{refused, "CL with an underscore", head + "Content-Length: 3_0\r\n\r\nabc"},
		{refused, "CL with a space", head + "Content-Length: 3 0\r\n\r\nabc"},
		{refused, "CL folded", head + "Content-Length: 3\r\n 0\r\n\r\nabc"},
		{refused, "CL empty", head + "Content-Length:\r\n\r\n"},
		{refused, "CL beyond 64 bits", head + "Content-Length: 18446744073709551616\r\n\r\n"},
		{refused, "CL before the colon", head + "Content-Length : 3\r\n\r\nabc"},
		{whole, "CL", head + "Content-Length: 3\r\n\r\nabc"},
		{whole, "CL named in Connection", head + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc"},
		// Chunks.
		{refused, "a chunk that ends with LF", chunked("3\nabc\n0\n\n")},
		{refused, "an LF in an extension", chunked("3;a\nx\r\nabc\r\n0\r\n\r\n")},
		{refused, "a CR in an extension", chunked("3;a\rx\r\nabc\r\n0\r\n\r\n")},
		{refused, "a size with a minus", chunked("-1\r\nabc\r\n0\r\n\r\n")},
		{refused, "a size with a plus", chunked("+3\r\nabc\r\n0\r\n\r\n")},
		{refused, "a size with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n")},
		{refused, "a size beyond 64 bits", chunked("ffffffffffffffff1\r\nabc\r\n0\r\n\r\n")},
		{refused, "no size", chunked("\r\nabc\r\n0\r\n\r\n")},
		{refused, "a chunk that is longer", chunked("2\r\nabc\r\n0\r\n\r\n")},
		{refused, "a user in a trailer", chunked("0\r\nX-User-ID: v\r\n\r\n")},
		{refused, "a length in a trailer", chunked("0\r\nContent-Length: 5\r\n\r\n")},
		{refused, "credentials in a trailer", chunked("0\r\nAuthorization: Bearer x\r\n\r\n")},
		{last, "a chunk", chunked("3\r\nabc\r\n0\r\n\r\n")},
		{last, "an extension", chunked("3;a=b\r\nabc\r\n0\r\n\r\n")},
		// Lines.
		{refused, "folded", head + "X: a\r\n b\r\n\r\n"},
		{refused, "folded with a tab", head + "X: a\r\n\tContent-Length: 5\r\n\r\n"},
		{refused, "the first header folded", line + " Host: x\r\n" + fields + "\r\n"},
		{refused, "a user folded", head + " v\r\n\r\n"},
		{refused, "bare LFs", strings.ReplaceAll(head+"\r\n", "\r", "")},
		{refused, "a bare LF after a header", line + "Host: likes\nX-User-ID: u\r\n\r\n"},
		{refused, "a bare LF at the end", head + "\n"},
		{refused, "bare CRs", strings.ReplaceAll(head+"\r\n", "\n", "")},
		{refused, "CR CR LF", head + "X: y\r\r\n\r\n"},
		{refused, "a NUL in a name", head + "X\x00Y: y\r\n\r\n"},
		{refused, "a NUL in a value", head + "X: y\x00\r\n\r\n"},
		{refused, "a NUL in the path", "PUT /v1/items/a\x00/like HTTP/1.1\r\n" + fields + "\r\n"},
		{refused, "no colon", head + "Xyz\r\n\r\n"},
		{refused, "no name", head + ": x\r\n\r\n"},
		{refused, "a space in a name", head + "X Y: z\r\n\r\n"},
		{refused, "a tab in a name", head + "X\tY: z\r\n\r\n"},
		{refused, "a name beyond ASCII", head + "X\xff: z\r\n\r\n"},
		{refused, "two hosts", head + "Host: likes\r\n\r\n"},
		{refused, "a host with a space", "PUT /v1/items/a/like HTTP/1.1\r\nHost: a b\r\nX-User-ID: u\r\n\r\n"},
		{refused, "tabs in the first line", "PUT\t/v1/items/a/like\tHTTP/1.1\r\n" + fields + "\r\n"},
		{refused, "two spaces in the first line", "PUT  /v1/items/a/like HTTP/1.1\r\n" + fields + "\r\n"},
		{refused, "a space in the path", "PUT /v1/items/a b/like HTTP/1.1\r\n" + fields + "\r\n"},
		{refused, "a space at the end", "PUT /v1/items/a/like HTTP/1.1 \r\n" + fields + "\r\n"},
		{refused, "no version", "PUT /v1/items/a/like\r\n\r\n"},
		{refused, "garbage in front", "xyz\r\n" + head + "\r\n"},
		{refused, "a header like X-User-ID", head + "X-User ID: admin\r\n\r\n"},
		{last, "another version", "PUT /v1/items/a/like HTTP/2.0\r\n" + fields + "\r\n"},
		{last, "HTTP/1.0", head10 + "\r\n"},
		{whole, "absolute form", "PUT http://likes/v1/items/a/like HTTP/1.1\r\n" + fields + "\r\n"},
		{whole, "absolute form, another host", "PUT http://evil/v1/items/a/like HTTP/1.1\r\n" + fields + "\r\n"},
		{whole, "empty lines in front", "\r\n\r\n" + head + "\r\n"},
		{whole, "an upgrade", head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"},
		{whole, "an underscore in X-User-ID", head + "X_User_ID: admin\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, nil)
			statuses := s.converse(t, c.bytes+smuggled)
			want, items := []int{400}, []string(nil)
			switch c.fate {
			case last:
				want, items = []int{200}, []string{"a"}
			case whole:
				want, items = []int{200, 200}, []string{"a", "smuggled"}
			}
			if !slices.Equal(statuses, want) || !slices.Equal(s.likedItems(), items) {
				t.Errorf("answered %v, liked %q; want %v, %q", statuses, s.likedItems(), want, items)
			}
			if users := s.store.likes["a"]; len(users) > 0 && users["u"] == 0 {
				t.Errorf("liked by %v", users)
			}
		})
	}
}

// What follows a legal request and is none ends the connection; what came before
// has been answered once.
func TestGarbageInAPipelineEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		garbage string
		want    []int
	}{
		"bytes":           {"\x00\x01\x02\r\n\r\n", []int{200, 200, 400}},
		"a body too many": {"abc\r\n\r\n", []int{200, 200, 400}},
		"TLS":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{200, 200, 400}},
		"half a request":  {"PUT /v1/items/c/like HTTP/1.1\r\n\r\n", []int{200, 200, 400}},
		"HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{200, 200, 404}},
	} {
		s := start(t, nil)
		legal := request("PUT", "/v1/items/a/like", "", as("u")) + request("PUT", "/v1/items/b/like", "x", as("u"))
		if got := s.converse(t, legal+c.garbage+smuggled); !slices.Equal(got, c.want) {
			t.Errorf("%s: answered %v, want %v", name, got, c.want)
		}
		if got := s.likedItems(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("%s: liked %q", name, got)
		}
	}
}

// Whatever is sent without an end takes neither memory nor the server's time.
func TestBombsAreCutOff(t *testing.T) {
	s := start(t, func(o *Options) { o.ReadTimeout = 300 * time.Millisecond; o.MaxBody = 64 << 10 })
	const head = "PUT /v1/items/a/like HTTP/1.1\r\nHost: likes\r\nX-User-ID: u\r\n"
	for name, c := range map[string]struct{ start, more string }{
		"headers":           {head, "X: y\r\n"},
		"one header":        {head + "X: ", "yyyy"},
		"a path":            {"PUT /", "aaaa"},
		"empty lines":       {"", "\r\n\r\n"},
		"chunks":            {head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
		"a chunk":           {head + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", "xxxx"},
		"a chunk extension": {head + "Transfer-Encoding: chunked\r\n\r\n1;", "aaaa"},
		"trailers":          {head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"},
		"a body":            {head + "Content-Length: 999999999999\r\n\r\n", "xxxx"},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := s.dial(t)
			more := strings.Repeat(c.more, 4096)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := io.WriteString(c0, c.start)
			for began := time.Now(); err == nil && time.Since(began) < 5*time.Second; {
				_, err = io.WriteString(c0, more)
			}
			if err == nil {
				t.Error("it goes on for five seconds")
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 { // garbage included
				t.Errorf("the heap has grown by %d bytes", grown)
			}
		})
	}
	if got := s.likedItems(); len(got) > 0 {
		t.Errorf("liked %q", got)
	}
}

// TestOthersAreServedBesideSlowloris holds 500 connections open that send a byte
// now and then; they are cut off, and nobody else notices.
func TestOthersAreServedBesideSlowloris(t *testing.T) {
	const slow = 500
	s := start(t, func(o *Options) { o.ReadTimeout = 2 * time.Second })
	stop := make(chan struct{})
	var all sync.WaitGroup
	var connected, cut atomic.Int64
	for i := range slow {
		all.Go(func() {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_, err = fmt.Fprintf(c, "PUT /v1/items/slow-%d/like HTTP/1.1\r\nHost: likes\r\nX-User-ID: u\r\nX-Drip: ", i)
			connected.Add(1)
			drip := time.NewTicker(100 * time.Millisecond)
			defer drip.Stop()
			for err == nil {
				select {
				case <-stop:
					return
				case <-drip.C:
					_, err = io.WriteString(c, "x")
				}
			}
			cut.Add(1)
		})
	}
	eventually(t, "all are connected", func() bool { return connected.Load() == slow })
	waits := make([]time.Duration, 50)
	for n := range waits {
		began := time.Now()
		if a := s.do(t, "PUT", fmt.Sprintf("/v1/items/fast-%d/like", n), "", as("u")); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		waits[n] = time.Since(began)
	}
	eventually(t, "the slow ones are cut off", func() bool { return cut.Load() == slow })
	close(stop)
	all.Wait()
	// Some may have met a pause of the machine, but who waits for the slow ones waits always.
	if slices.Sort(waits); waits[len(waits)/2] > time.Second {
		t.Errorf("half of them waited %v and more", waits[len(waits)/2])
	}
	if got := s.likedItems(); slices.ContainsFunc(got, func(item string) bool { return strings.HasPrefix(item, "slow") }) {
		t.Errorf("liked %q", got)
	}
}

// converse sends bytes and returns the statuses of all answers until the server
// closes the connection.
func (s *site) converse(t *testing.T, bytes string) (statuses []int) {
	t.Helper()
	c := s.dial(t)
	_, _ = io.WriteString(c, bytes) // the server may close before it has all
	for r := bufio.NewReader(c); ; {
		resp, err := http.ReadResponse(r, &http.Request{Method: "PUT"})
		if err != nil {
			if netErr, ok := err.(interface{ Timeout() bool }); ok && netErr.Timeout() {
				t.Errorf("the connection stays open after %v", statuses)
			}
			return statuses
		}
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		statuses = append(statuses, resp.StatusCode)
	}
}

// likedItems are the items that somebody has liked, sorted.
func (s *site) likedItems() []string {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var items []string
	for item := range s.store.likes {
		items = append(items, item)
	}
	slices.Sort(items)
	return items
}
