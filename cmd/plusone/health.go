package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"plusone/cmd/internal/settings"
)

type healthCmd struct {
	settings.Internal

	InternalTokenFile string `help:"File with the token itself, where --internal-token is its hash." placeholder:"FILE"`
}

// healthTime is more than the 2 s that a process has for its own checks.
const healthTime = 4 * time.Second

// maxHealth is more than a process has to say.
const maxHealth = 64 << 10

// Run asks the process at --internal-listen for /readyz and prints what it says. It
// fails when that process is not ready, or not there: for probes that can only start
// a program.
func (c healthCmd) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := c.request(ctx)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if failed := new(url.Error); errors.As(err, &failed) { // its own text repeats the address
		return fmt.Errorf("no plusone answers at --internal-listen %s (is it running? is that its address?): %w", c.InternalListen, failed.Err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(out, io.LimitReader(res.Body, maxHealth)); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return usage("it wants its token: --internal-token-file")
	}
	return fmt.Errorf("not ready: %s", res.Status)
}

func (c healthCmd) request(ctx context.Context) (*http.Request, error) {
	host, port, err := net.SplitHostPort(c.InternalListen)
	if err != nil {
		return nil, usage("--internal-listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on all addresses, so on this one
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil || c.InternalTokenFile == "" {
		return req, err
	}
	token, err := os.ReadFile(c.InternalTokenFile)
	if err != nil {
		return nil, usage("--internal-token-file: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return req, nil
}
