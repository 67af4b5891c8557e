package tasks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Receiver is somebody who wants to be told of changes, by webhooks as
// https://www.standardwebhooks.com specifies them.
type Receiver struct {
	URL     string   // http or https, without user and password
	Secrets []string // whsec_<base64 of 24–64 bytes>, at least one; every message carries a signature by each
}

// Hook sends signed messages to one address.
type Hook struct {
	url     string
	signers []*webhooks.Webhook
	client  *http.Client
	timeout time.Duration // of one message, from the name's resolution to the end of the answer
}

// Name is how the ledger, the log and the dashboard know r: its host and a mark of
// its whole address, which may hold a secret. Another address is another receiver.
func (r Receiver) Name() string {
	mark := sha256.Sum256([]byte(r.URL))
	return r.host() + "-" + hex.EncodeToString(mark[:4])
}

// hostPattern also keeps a name short, and valid in every store.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]{1,255}$`)

// host is the host of the address, as far as it has one.
func (r Receiver) host() string {
	u, err := url.Parse(r.URL)
	if err != nil || !hostPattern.MatchString(u.Host) {
		return "unknown host"
	}
	return u.Host
}

// NewHook checks the settings of a Hook, whose Close ends what it keeps open.
// timeout is of one message, from the name's resolution to the end of the answer;
// private lets r be in private, loopback, link-local and other special networks.
func NewHook(r Receiver, timeout time.Duration, private bool) (*Hook, error) {
	dialer := publicDialer(timeout)
	if private {
		dialer = &net.Dialer{Timeout: timeout}
	}
	return newHook(r, timeout, dialer)
}

// Close ends the connections that wait for a next message.
func (w *Hook) Close() { w.client.CloseIdleConnections() }

func newHook(r Receiver, timeout time.Duration, dialer *net.Dialer) (*Hook, error) {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil: // its text would repeat the address
		return nil, fmt.Errorf("receiver %s: the address is no URL", r.Name())
	case u.User != nil:
		return nil, fmt.Errorf("receiver %s: the address must not hold a user or password: messages are signed instead", r.Name())
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || !hostPattern.MatchString(u.Host):
		return nil, fmt.Errorf("receiver %s: the address must be http://host… or https://host…", r.Name())
	}
	signers, err := newSigners(r.Secrets)
	if err != nil {
		return nil, fmt.Errorf("receiver %s: %w", r.Name(), err)
	}
	u.Fragment = ""
	return &Hook{url: u.String(), signers: signers, client: newClient(dialer), timeout: timeout}, nil
}

// newClient knows no proxy, follows no redirect and keeps no cookies: what it
// does depends on the receiver's settings alone.
func newClient(dialer *net.Dialer) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    16,
		},
	}
}

func newSigners(secrets []string) ([]*webhooks.Webhook, error) {
	if len(secrets) == 0 {
		return nil, errors.New("it has no secret: messages must be signed")
	}
	signers := make([]*webhooks.Webhook, len(secrets))
	for i, s := range secrets {
		text, ok := strings.CutPrefix(s, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, fmt.Errorf("secret %d of %d is not whsec_ and the base64 of 24–64 bytes", i+1, len(secrets))
		}
		if signers[i], err = webhooks.NewWebhookRaw(key); err != nil {
			return nil, err
		}
	}
	return signers, nil
}
