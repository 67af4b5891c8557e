package console

import (
	"math"
)

// line is one line of a plot: its value now, with the sample before for rates.
type line struct {
	id, label string
	of        func(now, before *figures) float64
}

// plot is a picture of the overview.
type plot struct {
	ID, Title, Unit string
	Lines           []line
	Needs           string // the metric without which it stays empty
	Elsewhere       string // who counts it then
}

// Label and ID are for the templates.
func (l line) Label() string { return l.label }

// ID names the line in the answers of /console/live.
func (l line) ID() string { return l.id }

const byAPI = "Counted by processes that run the API: look at the console of one of them."

// likeRoutes are those that change one like; that of likers, which begins alike, reads.
var likeRoutes = []string{"/v1/items/{item}/like", "/v1/items/{item}/like/toggle"}

var plots = []plot{
	{
		ID: "likes", Title: "Likes and unlikes", Unit: "a second", Needs: "plusone_ops_total", Elsewhere: byAPI,
		Lines: []line{
			{"likes.accepted", "accepted", rate1(func(f *figures) float64 { return f.sum("plusone_ops_total", "result", "changed", "unchanged") })},
			{"likes.refused", "refused", rate1(func(f *figures) float64 {
				return f.sum("plusone_ops_total", "") - f.sum("plusone_ops_total", "result", "changed", "unchanged")
			})},
		},
	},
	{
		ID: "latency", Title: "Time to answer a like", Unit: "ms", Needs: "plusone_http_request_duration_seconds", Elsewhere: byAPI,
		Lines: []line{
			{"latency.p50", "half of them within", quantile(0.5)},
			{"latency.p99", "99 % within", quantile(0.99)},
		},
	},
	{
		ID: "batch", Title: "Likes per exchange with Redis", Unit: "mean", Needs: "plusone_batch_ops", Elsewhere: byAPI,
		Lines: []line{{"batch.mean", "likes", func(now, before *figures) float64 {
			if before == nil {
				return math.NaN()
			}
			return now.histogram("plusone_batch_ops").since(before.histogram("plusone_batch_ops")).mean()
		}}},
	},
	{
		ID: "log", Title: "Entries in the logs", Unit: "all shards",
		Lines: []line{{"log.entries", "entries", func(now, _ *figures) float64 {
			if now.askedLog {
				return float64(now.waits.entries)
			}
			return now.sum("plusone_log_entries", "")
		}}},
	},
	{
		ID: "lag", Title: "How far Postgres lags", Unit: "s",
		Lines: []line{
			{"lag.drain", "oldest like that Postgres lacks", func(now, _ *figures) float64 {
				if now.askedLog {
					return now.waits.lag.Seconds()
				}
				return now.most("plusone_drain_lag_seconds")
			}},
			{"lag.age", "oldest entry of a log", func(now, _ *figures) float64 {
				if now.askedLog {
					return now.waits.age.Seconds()
				}
				return now.most("plusone_log_oldest_age_seconds")
			}},
		},
	},
	{
		ID: "memory", Title: "Redis' memory", Unit: "MiB",
		Lines: []line{
			{"memory.used", "used", func(now, _ *figures) float64 {
				if now.askedMem {
					return float64(now.memory.Used) / mib
				}
				return now.sum("plusone_resident_bytes", "") / mib
			}},
			{"memory.bound", "bound", func(now, _ *figures) float64 {
				if now.askedMem {
					return float64(now.bound) / mib
				}
				return now.sum("plusone_resident_max_bytes", "") / mib
			}},
		},
	},
	{
		ID: "drift", Title: "Drift, since this process began", Unit: "findings", Needs: "plusone_drift_found_total",
		Elsewhere: "Counted by processes that reconcile. What any of them found stands among the repairs.",
		Lines: []line{
			{"drift.found", "found", func(now, _ *figures) float64 { return now.sum("plusone_drift_found_total", "") }},
			{"drift.repaired", "repaired", func(now, _ *figures) float64 { return now.sum("plusone_drift_repaired_total", "") }},
		},
	},
	{
		ID: "sagas", Title: "Sagas that have not ended", Unit: "all processes", Needs: "plusone_sagas",
		Elsewhere: "Counted by workers that know participants. Without participants there are none.",
		Lines: []line{
			{"sagas.open", "under way", func(now, _ *figures) float64 { return now.sum("plusone_sagas", "state", "pending", "compensating") }},
			{"sagas.stuck", "stuck", func(now, _ *figures) float64 { return now.sum("plusone_sagas", "state", "stuck") }},
		},
	},
}

const mib = 1 << 20

// lines are those of all plots, in their order.
var lines = func() (all []line) {
	for _, p := range plots {
		all = append(all, p.Lines...)
	}
	return all
}()

// rate1 is by how much a sum grows in a second.
func rate1(of func(*figures) float64) func(now, before *figures) float64 {
	return func(now, before *figures) float64 {
		if before == nil {
			return math.NaN()
		}
		return (of(now) - of(before)) / now.at.Sub(before.at).Seconds()
	}
}

// quantile is the time within which a part of the likes since the last sample was
// answered, in ms.
func quantile(part float64) func(now, before *figures) float64 {
	const name = "plusone_http_request_duration_seconds"
	return func(now, before *figures) float64 {
		if before == nil {
			return math.NaN()
		}
		return now.histogram(name, likeRoutes...).since(before.histogram(name, likeRoutes...)).quantile(part) * 1000
	}
}
