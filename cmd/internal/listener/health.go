package listener

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/stores"
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
/console/      for people
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
		lines, failed := make([]string, len(checks)), false
		for i, c := range Look(r.Context(), checks) {
			lines[i] = fmt.Sprintf("%-8s %s: %s\n", c.State, c.Name, c.Note)
			failed = failed || c.State == console.Failed
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if failed {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, strings.Join(lines, ""))
	})
}

// Look runs all checks at once, for as long as a check has, and keeps their order.
func Look(ctx context.Context, checks []Check) []console.Check {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	found := make([]console.Check, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			note, err := c.Run(ctx)
			found[i] = console.Check{Name: c.Name, State: console.Fine, Note: note}
			switch {
			case err != nil && c.Optional:
				found[i].State, found[i].Note = console.Degraded, oneLine(err)
			case err != nil:
				found[i].State, found[i].Note = console.Failed, oneLine(err)
			}
		})
	}
	all.Wait()
	return found
}

func oneLine(err error) string { return strings.Join(strings.Fields(stores.Words(err)), " ") }
