package tasks

import (
	"encoding/base64"
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
	Name    string   // how the ledger knows it; empty: the host of URL. 1–100 letters, digits or any of . : - _ [ ]
	URL     string   // http or https, without user and password
	Secrets []string // whsec_<base64 of 24–64 bytes>, at least one; every message carries a signature by each
}

// webhook sends messages to one receiver.
type webhook struct {
	url     string
	signers []*webhooks.Webhook
	client  *http.Client
	timeout time.Duration // of one message, from the name's resolution to the end of the answer
}

var receiverName = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]{1,100}$`)

// newWebhook returns r with its Name filled in, and the way to it.
func newWebhook(r Receiver, timeout time.Duration, dialer *net.Dialer) (Receiver, *webhook, error) {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil: // its text would repeat the address, secrets included
		return r, nil, fmt.Errorf("receiver %q: the address is no URL", r.Name)
	case u.User != nil:
		return r, nil, fmt.Errorf("receiver %q: the address must not hold a user or password: messages are signed instead", r.Name)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return r, nil, fmt.Errorf("receiver %q: the address must be http://host… or https://host…", r.Name)
	}
	if r.Name == "" {
		r.Name = u.Host
	}
	if !receiverName.MatchString(r.Name) {
		return r, nil, fmt.Errorf("receiver %q: the name must be 1–100 letters, digits or any of . : - _ [ ]", r.Name)
	}
	u.Fragment = ""
	w := &webhook{url: u.String(), timeout: timeout, client: newClient(dialer)}
	if w.signers, err = newSigners(r.Secrets); err != nil {
		return r, nil, fmt.Errorf("receiver %q: %w", r.Name, err)
	}
	return r, w, nil
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
