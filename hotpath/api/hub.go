package api

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
)

const (
	heartbeat  = 15 * time.Second // the longest silence on a stream, so that proxies keep it and gone viewers are noticed
	maxWatched = 20_000           // items over all streams: what one look reads at most
	lookPage   = 1000             // items of one read
	// doubt is how far the clocks of two processes and their looks may be apart: what
	// changed as long before an event as that was known to whoever sent it.
	doubt = 3 * time.Second
)

// hub tells viewers of changed counts. However many they are, it looks at each item
// once per tick, and encodes each change once; viewers are connections without a
// goroutine. One that does not take what it is told is closed and comes back.
//
//	join ──▶ watched items ◀── look, each tick
//	 └─────▶ viewers ◀──────── tell, what has changed since they were told
type hub struct {
	read  func(ctx context.Context, items []string) ([]like.Reading, error)
	every time.Duration
	most  int // viewers
	log   *slog.Logger

	mu      sync.Mutex
	items   map[string]*subject
	viewers map[*viewer]struct{}
	closed  bool
	tick    uint64

	places          atomic.Int64 // viewers, and those that are joining
	events, dropped atomic.Int64
}

// subject is an item that somebody watches. Its fields belong to the hub's lock.
type subject struct {
	item    string
	viewers int
	reading like.Reading
	known   bool      // reading is one
	since   time.Time // since when the count is what it is, as far as it was watched
	changed uint64    // tick
	event   []byte    // that tells of it
}

// tell takes a reading, and reports whether viewers have to hear of it.
func (w *subject) tell(r like.Reading, tick uint64) bool {
	same := w.known && r.Count == w.reading.Count
	w.reading, w.known = r, true
	if same {
		return false
	}
	w.since, w.changed, w.event = r.AsOf, tick, appendEvent(nil, &r)
	return true
}

// appendEvent spells a reading as an event. Its id is the time of the reading, in ms.
func appendEvent(b []byte, r *like.Reading) []byte {
	b = append(b, "id: "...)
	b = strconv.AppendInt(b, r.AsOf.UnixMilli(), 10)
	b = append(b, "\nevent: count\ndata: "...)
	b = appendReading(b, r, false)
	return append(b, "\n\n"...)
}

func newHub(o Options, read func(context.Context, []string) ([]like.Reading, error)) *hub {
	return &hub{
		read: read, every: o.StreamEvery, most: o.MaxStreams, log: o.Log,
		items: map[string]*subject{}, viewers: map[*viewer]struct{}{},
	}
}

// enter takes a place for a viewer, which leave or drop gives back.
func (h *hub) enter() bool {
	if h.places.Add(1) > int64(h.most) {
		h.leave()
		return false
	}
	return true
}

func (h *hub) leave() { h.places.Add(-1) }

// fresh returns readings of those items that are watched already, and the others.
func (h *hub) fresh(items []string, now time.Time) (known map[string]like.Reading, missing []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known = make(map[string]like.Reading, len(items))
	for _, item := range items {
		if w := h.items[item]; w != nil && w.known && now.Sub(w.reading.AsOf) < 2*h.every {
			known[item] = w.reading
			continue
		}
		missing = append(missing, item)
	}
	return known, missing
}

// join makes v a viewer of items and tells it their counts, but for those that have
// not changed since its last event. It reports false when there is no room for
// the items, or the hub is closed; then v is still the caller's.
func (h *hub) join(v *viewer, readings []like.Reading, last time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := 0
	for i := range readings {
		if h.items[readings[i].Item] == nil {
			fresh++
		}
	}
	if h.closed || len(h.items)+fresh > maxWatched {
		return false
	}
	first := appendRetry(nil)
	for i := range readings {
		r := &readings[i]
		w := h.items[r.Item]
		if w == nil {
			w = &subject{item: r.Item}
			h.items[r.Item] = w
		}
		if !w.known {
			w.tell(*r, h.tick)
		}
		w.viewers++
		v.items = append(v.items, w)
		if last.IsZero() || w.since.Add(doubt).After(last) {
			first = append(first, w.event...)
		}
	}
	v.told = h.tick
	if !v.send(first, time.Now()) {
		h.forget(v)
		return true // there is nobody left to be told that it failed
	}
	h.viewers[v] = struct{}{}
	return true
}

// appendRetry tells a viewer when to come back after its stream has ended; not all
// at once.
func appendRetry(b []byte) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, 1000+rand.Int64N(4000), 10) //nolint:gosec // it decides nothing but a moment
	return append(b, "\n\n"...)
}

// forget lets go of a viewer and of what only it watched. It runs under the lock.
func (h *hub) forget(v *viewer) {
	for _, w := range v.items {
		if w.viewers--; w.viewers == 0 {
			delete(h.items, w.item)
		}
	}
	delete(h.viewers, v)
	v.close()
	h.leave()
}

// run looks and tells until ctx ends, then closes all streams.
func (h *hub) run(ctx context.Context) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed := h.look(ctx)
		h.tell(changed, time.Now())
	}
}

// look reads all watched items, and reports whether any has changed. What can't be
// read stays as it was.
func (h *hub) look(ctx context.Context) (changed bool) {
	ctx, cancel := context.WithTimeout(ctx, h.every)
	defer cancel()
	h.mu.Lock()
	h.tick++
	items := make([]string, 0, len(h.items))
	for item := range h.items {
		items = append(items, item)
	}
	h.mu.Unlock()
	for len(items) > 0 {
		n := min(len(items), lookPage)
		readings, err := h.read(ctx, items[:n])
		if err != nil {
			h.log.DebugContext(ctx, "streams could not be told anything new", "error", err)
			return changed
		}
		items = items[n:]
		h.mu.Lock()
		for _, r := range readings {
			if w := h.items[r.Item]; w != nil && w.tell(r, h.tick) {
				changed = true
			}
		}
		h.mu.Unlock()
	}
	return changed
}

// tell sends what has changed, and a heartbeat to those who have heard nothing.
func (h *hub) tell(changed bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b []byte
	for v := range h.viewers {
		b = b[:0]
		for _, w := range v.items {
			if changed && w.changed > v.told {
				b = append(b, w.event...)
				h.events.Add(1)
			}
		}
		v.told = h.tick
		if len(b) == 0 && now.Sub(v.last) >= heartbeat {
			b = append(b, ":\n\n"...)
		}
		if len(b) > 0 && !v.send(b, now) {
			h.dropped.Add(1)
			h.forget(v)
		}
	}
}

// close ends all streams and takes no more.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for v := range h.viewers {
		h.forget(v)
	}
}

func (h *hub) register(to prometheus.Registerer) error {
	return errors.Join(
		to.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "plusone_streams", Help: "Open streams of counts.",
		}, func() float64 { return float64(h.places.Load()) })),
		to.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "plusone_stream_events_total", Help: "Counts that streams were told, after the first ones.",
		}, func() float64 { return float64(h.events.Load()) })),
		to.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "plusone_streams_dropped_total", Help: "Streams whose viewer had gone, or did not take what it was told.",
		}, func() float64 { return float64(h.dropped.Load()) })),
	)
}
