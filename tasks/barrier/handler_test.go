package barrier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"plusone/tasks/barrier"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	other  = "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa="
)

// signed is a call as plusone sends it, signed by the library that it uses.
func signed(t testing.TB, url, key string, at time.Time, body []byte) *http.Request {
	t.Helper()
	signer, err := webhooks.NewWebhook(key)
	must(t, err)
	signature, err := signer.Sign("msg_1", at, body)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	must(t, err)
	req.Header.Set("webhook-id", "msg_1")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	return req
}

// serve is a service around do; its address.
func serve(t testing.TB, timeout time.Duration, do barrier.Do) string {
	t.Helper()
	v, err := barrier.NewVerifier(other, secret)
	must(t, err)
	srv := httptest.NewServer(barrier.Handler(v, timeout, do))
	t.Cleanup(srv.Close)
	return srv.URL
}

func answerOf(t testing.TB, req *http.Request) (int, string) {
	t.Helper()
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, strings.TrimSpace(string(body))
}

const goodCall = `{"step":"try","ops":[{"saga":"sag_1","key":"sag_1:x:try","item":"/a","user":"u","liked":true,"receipt":"1-2-3"},` +
	`{"saga":"sag_2","key":"sag_2:x:try","item":"/b","user":"u","liked":false,"receipt":"1-2-4"}],"later":1}`

func TestACallIsAnsweredOpByOpInItsOrder(t *testing.T) {
	var step barrier.Step
	var ops []barrier.Op
	url := serve(t, time.Minute, func(_ context.Context, s barrier.Step, o []barrier.Op) ([]barrier.Answer, error) {
		step, ops = s, o
		return []barrier.Answer{o[1].Rejected("no\x00way")}, nil
	})
	code, body := answerOf(t, signed(t, url, secret, time.Now(), []byte(goodCall)))
	const want = `{"results":[{"saga":"sag_1","result":"retry","reason":"no answer"},{"saga":"sag_2","result":"rejected","reason":"no?way"}]}`
	if code != 200 || body != want {
		t.Errorf("%d %s", code, body)
	}
	if step != barrier.Try || !slices.Equal(ops, []barrier.Op{
		{Saga: "sag_1", Key: "sag_1:x:try", Item: "/a", User: "u", Liked: true, Receipt: "1-2-3"},
		{Saga: "sag_2", Key: "sag_2:x:try", Item: "/b", User: "u", Receipt: "1-2-4"},
	}) {
		t.Errorf("%s %+v", step, ops)
	}
}

func TestWhatIsNoCallNeverReachesTheService(t *testing.T) {
	url := serve(t, time.Minute, func(context.Context, barrier.Step, []barrier.Op) ([]barrier.Answer, error) {
		t.Error("it was reached")
		return nil, nil
	})
	many := make([]barrier.Op, barrier.MaxOps+1)
	for i := range many {
		many[i] = barrier.Op{Saga: strconv.Itoa(i), Item: "i", User: "u"}
	}
	tooMany, err := json.Marshal(map[string]any{"step": "try", "ops": many})
	must(t, err)
	for body, want := range map[string]int{
		"": 400, "[]": 400, "{": 400, "null": 400, goodCall + "x": 400, goodCall + goodCall: 400,
		`{"step":"confirm","ops":[{"saga":"s","item":"i","user":"u"}]}`: 400,
		`{"step":"try","ops":[]}`:                                                                      400,
		`{"step":"try","ops":[{"saga":"","item":"i","user":"u"}]}`:                                     400,
		`{"step":"try","ops":[{"saga":"s","user":"u"}]}`:                                               400,
		`{"step":"try","ops":[{"saga":"s","item":"i"}]}`:                                               400,
		`{"step":"try","ops":[{"saga":"s}","item":"i","user":"u"}]}`:                                   400,
		`{"step":"try","ops":[{"saga":"s","item":"i","user":"u\u0000"}]}`:                              400,
		`{"step":"try","ops":[{"saga":"s","item":"i","user":7}]}`:                                      400,
		`{"step":"try","ops":[{"saga":"s","item":"` + strings.Repeat("i", 201) + `","user":"u"}]}`:     400,
		`{"step":"try","ops":[{"saga":"s","item":"i","user":"u"},{"saga":"s","item":"j","user":"u"}]}`: 400,
		"{\"step\":\"try\",\"ops\":[{\"saga\":\"s\",\"item\":\"\xff\",\"user\":\"u\"}]}":               400,
		string(tooMany): 400,
		`{"step":"try","ops":[{"saga":"s","item":"i","user":"u","x":"` + strings.Repeat("x", 4<<20) + `"}]}`: 413,
	} {
		if code, said := answerOf(t, signed(t, url, secret, time.Now(), []byte(body))); code != want {
			t.Errorf("%.80s: %d %s", body, code, said)
		}
	}
	req := signed(t, url, secret, time.Now(), []byte(goodCall))
	req.Method = http.MethodPut
	if code, _ := answerOf(t, req); code != 405 {
		t.Errorf("PUT: %d", code)
	}
}

func TestOnlySignedCallsReachTheService(t *testing.T) {
	reached := 0
	url := serve(t, time.Minute, func(context.Context, barrier.Step, []barrier.Op) ([]barrier.Answer, error) {
		reached++
		return nil, nil
	})
	now := time.Now()
	for name, c := range map[string]struct {
		want   int
		key    string
		at     time.Time
		change func(*http.Request)
	}{
		"signed":              {200, secret, now, nil},
		"by the other secret": {200, other, now, nil},
		"by a stranger":       {401, "whsec_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb=", now, nil},
		"among other signatures": {200, secret, now, func(r *http.Request) {
			r.Header["Webhook-Signature"][0] = "v1a,x v1,eA== " + r.Header.Get("webhook-signature")
		}},
		"a while ago":   {200, secret, now.Add(-4 * time.Minute), nil},
		"too long ago":  {401, secret, now.Add(-6 * time.Minute), nil},
		"too far ahead": {401, secret, now.Add(6 * time.Minute), nil},
		"another id":    {401, secret, now, func(r *http.Request) { r.Header.Set("webhook-id", "msg_2") }},
		"another time":  {401, secret, now, func(r *http.Request) { r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10)) }},
		"no id":         {401, secret, now, func(r *http.Request) { r.Header.Del("webhook-id") }},
		"no time":       {401, secret, now, func(r *http.Request) { r.Header.Del("webhook-timestamp") }},
		"no signature":  {401, secret, now, func(r *http.Request) { r.Header.Del("webhook-signature") }},
		"another body": {401, secret, now, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(goodCall, "true", "null", 1)))
		}},
	} {
		before := reached
		req := signed(t, url, c.key, c.at, []byte(goodCall))
		if c.change != nil {
			c.change(req)
		}
		if code, said := answerOf(t, req); code != c.want || (reached > before) != (c.want == 200) {
			t.Errorf("%s: %d %s", name, code, said)
		}
	}
}

func TestBadSecretsAreRefused(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}, {secret, "whsec_"}, {"whsec_eA=="}, {strings.TrimPrefix(secret, "whsec_")}, {secret + "!"}} {
		if _, err := barrier.NewVerifier(secrets...); err == nil || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%q: %v", secrets, err)
		}
	}
}

func TestAServiceThatFailsAnswersThatNothingIsKnown(t *testing.T) {
	url := serve(t, time.Minute, func(_ context.Context, _ barrier.Step, o []barrier.Op) ([]barrier.Answer, error) {
		return []barrier.Answer{o[0].Done()}, errors.New("hidden")
	})
	if code, said := answerOf(t, signed(t, url, secret, time.Now(), []byte(goodCall))); code != 503 || strings.Contains(said, "hidden") {
		t.Errorf("%d %s", code, said)
	}
}

func TestACallEndsInTime(t *testing.T) {
	url := serve(t, 100*time.Millisecond, func(ctx context.Context, _ barrier.Step, _ []barrier.Op) ([]barrier.Answer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if code, said := answerOf(t, signed(t, url, secret, time.Now(), []byte(goodCall))); code != 503 {
		t.Errorf("a slow service: %d %s", code, said)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	must(t, err)
	said, err := io.ReadAll(conn) // the service ends it
	if err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 400 ") {
		t.Errorf("a body that never comes: %q, %v", said, err)
	}
}

func FuzzWhatIsVerifiedWasSigned(f *testing.F) {
	f.Add("msg_1", "1", "v1,eA==", []byte("{}"))
	v, err := barrier.NewVerifier(secret)
	must(f, err)
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		h := http.Header{}
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", stamp)
		h.Set("webhook-signature", signature)
		if v.Verify(h, body, time.Unix(1, 0)) == nil {
			t.Errorf("%q %q %q is taken for signed", id, stamp, signature)
		}
	})
}
