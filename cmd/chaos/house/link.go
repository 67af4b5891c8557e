package house

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link is what stands between one process and one store.
type Link struct {
	Name  string
	proxy *toxiproxy.Proxy
}

// newLink opens a link to target, host:port, on a loopback port of its own.
func newLink(server *toxiproxy.ApiServer, name, target string) (*Link, error) {
	l := &Link{name, toxiproxy.NewProxy(server, name, "127.0.0.1:0", target)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	return l, nil
}

func newProxies() *toxiproxy.ApiServer {
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
}

// Addr is where the process connects. It stays the same over cuts.
func (l *Link) Addr() string { return l.proxy.Listen }

// Cut closes all connections and refuses new ones.
func (l *Link) Cut() error { l.proxy.Stop(); return nil }

// toxic is a fault of a connection, as toxiproxy is told of it.
type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Attributes map[string]int64 `json:"attributes"`
}

// the one toxic that a link has at a time
const theToxic = "fault"

// Delay holds back what goes to the store by d.
func (l *Link) Delay(d time.Duration) error {
	return l.add(toxic{theToxic, "latency", "upstream", map[string]int64{"latency": d.Milliseconds()}})
}

// DropReplies lets requests reach the store and swallows what it answers.
func (l *Link) DropReplies() error {
	return l.add(toxic{theToxic, "timeout", "downstream", map[string]int64{"timeout": 0}})
}

func (l *Link) add(t toxic) error {
	b, err := json.Marshal(t)
	if err == nil {
		_, err = l.proxy.Toxics.AddToxicJson(bytes.NewReader(b))
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", l.Name, err)
	}
	return nil
}

// Mend ends whatever was done to the link. Connections that lost a reply are
// closed.
func (l *Link) Mend(ctx context.Context) error {
	l.proxy.Toxics.ResetToxics(ctx)
	if l.proxy.Enabled {
		return nil
	}
	if err := l.proxy.Start(); err != nil {
		return fmt.Errorf("link %s: %w", l.Name, err)
	}
	return nil
}
