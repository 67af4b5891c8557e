package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/propagation"

	"plusone/hotpath/like"
)

// What a receiver can make us do is bounded.
const (
	maxAnswer     = 16 << 10  // bytes of an answer's body that are read, so that its connection can be used again
	maxRetryAfter = time.Hour // the longest delay that a receiver may ask for
)

// rejection is why a receiver was not told.
type rejection struct {
	why   error
	gone  bool          // it wants to hear no more of this
	after time.Duration // it wants to hear no sooner than this from now
}

// message is what receivers get. It is the same, byte by byte, at each attempt.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of the event, not of the attempt
	Data      change    `json:"data"`
}

type change struct {
	Seq   int64     `json:"seq"`
	ID    string    `json:"id"`
	Item  string    `json:"item"`
	Count int64     `json:"count"`
	Delta int64     `json:"delta"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// send tells the receiver of n once. Nil means that it has answered 2xx in time.
func (w *Hook) send(ctx context.Context, n like.Notification) (no *rejection) {
	req, err := w.news(ctx, n)
	if err != nil {
		return &rejection{why: err}
	}
	err = w.do(req, func(resp *http.Response) error {
		// The status has decided; what happens to the rest of the answer does not matter.
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
		no = judge(resp)
		return nil
	})
	if err != nil {
		return &rejection{why: err}
	}
	return no
}

// Post sends a JSON document, signed, under an id that is the same whenever it is
// sent again, and returns the answer's status and its body up to most bytes. Its
// errors do not repeat the address, which may hold a secret.
func (w *Hook) Post(ctx context.Context, id string, body []byte, most int64) (status int, answer []byte, err error) {
	req, err := w.request(ctx, id, body)
	if err != nil {
		return 0, nil, err
	}
	err = w.do(req, func(resp *http.Response) (err error) {
		status = resp.StatusCode
		answer, err = io.ReadAll(io.LimitReader(resp.Body, most))
		return err
	})
	return status, answer, err
}

// do sends a request and reads its answer, within the timeout.
func (w *Hook) do(req *http.Request, read func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(req.Context(), w.timeout)
	defer cancel()
	resp, err := w.client.Do(req.WithContext(ctx))
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		err = read(resp)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", w.timeout)
	}
	return withoutURL(err)
}

// news is the request that tells of n.
func (w *Hook) news(ctx context.Context, n like.Notification) (*http.Request, error) {
	body, err := json.Marshal(message{
		Type: "item.likes.changed", Timestamp: n.To.UTC(),
		Data: change{n.Seq, n.ID, n.Item, n.Count, n.Delta, n.From.UTC(), n.To.UTC()},
	})
	if err != nil {
		return nil, err
	}
	return w.request(ctx, n.ID, body)
}

func (w *Hook) request(ctx context.Context, id string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	now := time.Now()
	signatures := make([]string, len(w.signers))
	for i, s := range w.signers {
		if signatures[i], err = s.Sign(id, now, body); err != nil {
			return nil, err
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "plusone")
	w3c.Inject(ctx, propagation.HeaderCarrier(req.Header)) // nothing, unless ctx has a span
	req.Header.Set(webhooks.HeaderWebhookID, id)
	req.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return req, nil
}

// judge reads an answer as Standard Webhooks says: 2xx is yes, all else,
// redirects included, is no, and 410 is never again.
func judge(resp *http.Response) *rejection {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	r := &rejection{why: fmt.Errorf("it answered %d", resp.StatusCode), gone: resp.StatusCode == http.StatusGone}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		r.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return r
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date. It
// is 0 for what is neither, and maxRetryAfter at most.
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// withoutURL takes the address, which may hold a secret, out of an error that is
// kept and shown.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
