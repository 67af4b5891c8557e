package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/api"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// overHTTP is the API as a front.
type overHTTP struct {
	url    string
	client *http.Client
}

// serve runs the API before a counter until the test ends.
func (r *rig) serve(t *testing.T, c *counter.Counter) overHTTP {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	id, err := api.NewIdentity(t.Context(), api.IdentityOptions{Auth: api.AuthHeader, Log: log})
	must(t, err)
	server, err := api.New(api.Options{
		Counter: c, Lists: r.ledger, Receipts: r.ledger, Notifications: r.ledger, Identity: id,
		CursorSecret: make([]byte, api.MinSecret), Log: log, Metrics: prometheus.NewRegistry(),
	})
	must(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1) // one value, from the goroutine below
	go func() { served <- server.Serve(l) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, errors.Join(server.Shutdown(ctx), <-served))
		id.Close()
	})
	return overHTTP{url: "http://" + l.Addr().String(), client: &http.Client{Transport: transport, Timeout: 2 * patience}}
}

func (f overHTTP) op(op like.Op) (like.Result, error) {
	method, path := http.MethodPut, "/v1/items/"+op.Item+"/like"
	switch op.Want {
	case like.NotLiked:
		method = http.MethodDelete
	case like.Toggle:
		method, path = http.MethodPost, path+"/toggle"
	}
	return f.told(method, path, op.User)
}

func (f overHTTP) told(method, path, user string) (like.Result, error) {
	var told struct {
		Liked, Changed bool
		Count          int64
	}
	err := f.call(method, path, user, &told)
	return like.Result{Liked: told.Liked, Changed: told.Changed, Count: told.Count}, err
}

func (f overHTTP) count(item, user string) (like.Reading, error) {
	var told struct {
		Count  int64
		Liked  *bool
		Source like.Source
	}
	err := f.call(http.MethodGet, "/v1/items/"+item, user, &told)
	got := like.Reading{Item: item, Count: told.Count, Source: told.Source, Unsure: told.Liked == nil && user != ""}
	if told.Liked != nil {
		got.Liked = *told.Liked
	}
	return got, err
}

// call asks as user and reads the answer into out. What was not answered may have
// been done.
func (f overHTTP) call(method, path, user string, out any) error {
	req, err := http.NewRequestWithContext(background, method, f.url+path, nil)
	if err != nil {
		return err
	}
	if user != "" {
		req.Header.Set("X-User-ID", user)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", like.ErrUnknown, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, out)
	}
	var problem struct{ Code string }
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", like.ErrUnknown, err)
	case res.StatusCode == http.StatusOK:
		return nil
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code == "outcome_unknown" {
		return fmt.Errorf("%w: %s", like.ErrUnknown, body)
	}
	return fmt.Errorf("%d: %s", res.StatusCode, body)
}
