package house

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"plusone/hotpath/counter"
)

// ready waits until every process says that it is.
func (h *House) ready(ctx context.Context) error {
	for _, p := range h.All {
		for {
			body, err := p.ask(ctx, "/readyz")
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready: %w: %s", p.Name, err, body)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

var inside = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask reads a page of the internal listener. Anything but 200 is an error.
func (p *Process) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Inside+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := inside.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d", path, res.StatusCode)
	}
	return body, err
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

// Goroutines counts the goroutines of the process.
func (p *Process) Goroutines(ctx context.Context) (int, error) {
	body, err := p.ask(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	m := goroutineTotal.FindSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("%s: no goroutine profile", p.Name)
	}
	return strconv.Atoi(string(m[1]))
}

// Stacks is the profile that Goroutines counts in, for a report.
func (p *Process) Stacks(ctx context.Context) ([]byte, error) {
	return p.ask(ctx, "/debug/pprof/goroutine?debug=1")
}

// RSS is the memory that a process holds, in bytes; 0 when it is gone.
func RSS(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// LogLength is how many entries all logs hold.
func (h *House) LogLength(ctx context.Context) (n int64, err error) {
	pipe := h.Rdb.Pipeline()
	for shard := range Shards {
		pipe.XLen(ctx, "p1:{"+strconv.Itoa(shard)+"}:log")
	}
	cmds, err := pipe.Exec(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range cmds {
		n += c.(interface{ Val() int64 }).Val()
	}
	return n, nil
}

// Home reports whether writes go to Redis, not to the ledger directly.
func (h *House) Home(ctx context.Context) (home bool, err error) {
	err = h.Pool.QueryRow(ctx, `SELECT writes_to = 'redis' FROM modes`).Scan(&home)
	return home, err
}

// Drained reports whether the ledger has all that the logs hold.
func (h *House) Drained(ctx context.Context) (bool, error) {
	log := counter.NewLog(h.Rdb, Shards)
	for shard := range Shards {
		tail, err := log.Tail(ctx, shard)
		if err != nil {
			return false, err
		}
		var mark int64
		err = h.Pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM watermarks WHERE shard = $1`, shard).Scan(&mark)
		if err != nil {
			return false, err
		}
		if int64(tail.Last) > mark {
			return false, nil
		}
	}
	return true, nil
}
