package listener

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Check looks at one dependency. Run says in a few words how it is, or what is
// wrong; it may be called at any time and has 2 seconds.
type Check struct {
	Name     string
	Optional bool // without it this process is degraded, but still of use
	Run      func(context.Context) (string, error)
}

const checkTime = 2 * time.Second

func livez(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

const links = `plusone, internal listener
/livez         whether this process runs
/readyz        whether it can do its work, a line per dependency
/metrics       for Prometheus
/tasks/        the queues
/sagas         what participants are to agree to
/debug/pprof/  profiles
`

func index(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, links) }

// ready answers a line per check, and 503 when one fails that is not optional.
func ready(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTime)
		defer cancel()
		lines, failed := run(ctx, checks)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if failed {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, strings.Join(lines, ""))
	})
}

// run runs all checks at once and keeps their order.
func run(ctx context.Context, checks []Check) (lines []string, failed bool) {
	lines = make([]string, len(checks))
	bad := make([]bool, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			note, err := c.Run(ctx)
			switch {
			case err == nil:
				lines[i] = fmt.Sprintf("ok       %s: %s\n", c.Name, note)
			case c.Optional:
				lines[i] = fmt.Sprintf("degraded %s: %s\n", c.Name, oneLine(err))
			default:
				lines[i], bad[i] = fmt.Sprintf("FAILED   %s: %s\n", c.Name, oneLine(err)), true
			}
		})
	}
	all.Wait()
	for _, b := range bad {
		failed = failed || b
	}
	return lines, failed
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
