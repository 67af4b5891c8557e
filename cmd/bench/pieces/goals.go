package pieces

// Goal compares a figure of a piece with the same figure of its base, in the same
// round.
type Goal struct {
	Name    string
	Of      string // the piece
	Base    string // the piece it is compared with; "" compares with nothing
	Figure  string // of both
	Unit    string // of the figure
	Reach   float64
	Stretch float64 // below Reach when less is better
	Wall    bool    // the CPU time per op compares nothing
}

// Less reports whether less is better.
func (g Goal) Less() bool { return g.Stretch < g.Reach }

// Met reports whether a value is as good as a bound.
func (g Goal) Met(value, bound float64) bool {
	if g.Less() {
		return value <= bound
	}
	return value >= bound
}

// Needs are the pieces that a goal compares.
func (g Goal) Needs() []string {
	if g.Base == "" {
		return []string{g.Of}
	}
	return []string{g.Base, g.Of}
}

// Goals are what plusone is held to.
var Goals = []Goal{
	{Name: "PUT, everysec / bare", Of: nPut, Base: nBare, Figure: PerSecond, Unit: "likes/s", Reach: 0.65, Stretch: 0.85},
	{Name: "PUT with a quota / PUT", Of: nPutQuota, Base: nPut, Figure: PerSecond, Unit: "likes/s", Reach: 0.85, Stretch: 0.95},
	{Name: "PUT, always / bare", Of: nPutAlways, Base: nBare, Figure: PerSecond, Unit: "likes/s", Reach: 0.55, Stretch: 0.80},
	{Name: "sustained / bare", Of: nSustained, Base: nBare, Figure: PerSecond, Unit: "likes/s", Reach: 0.40, Stretch: 0.60},
	{Name: "sustained / best Postgres alone", Of: nSustained, Base: nInsert, Figure: PerSecond, Unit: "likes/s", Reach: 6, Stretch: 9},
	{Name: "sustained / EVALSHA and asynq task, persisted", Of: nSustained, Base: nAsynq, Figure: PerSecond, Unit: "likes/s", Reach: 40, Stretch: 80, Wall: true},
	{Name: "drain / raw-upsert", Of: nDrain, Base: nUpsert, Figure: PerSecond, Unit: "rows/s", Reach: 0.8, Stretch: 0.95},
	{Name: "Redis CPU a like / raw-redis, 1000 items", Of: nScript, Base: nRaw1000, Figure: MainThread, Unit: "µs", Reach: 1.4, Stretch: 1.0},
	{Name: "Redis CPU a like / raw-redis, ten items", Of: nScriptHot, Base: nRawHot, Figure: MainThread, Unit: "µs", Reach: 0.9, Stretch: 0.6},
	{Name: "GET count, hot item / bare", Of: nGet, Base: nBareGet, Figure: PerSecond, Unit: "req/s", Reach: 0.90, Stretch: 0.97},
	{Name: "GET 50 counts and liked / single GETs, items/s", Of: nGet50, Base: nGetOne, Figure: PerSecond, Unit: "items/s", Reach: 10, Stretch: 20},
	{Name: "POST 1000 likes / PUT, likes/s", Of: nBulk, Base: nPut, Figure: PerSecond, Unit: "likes/s", Reach: 3, Stretch: 6},
	{Name: "p99 of PUT at half of its maximum / bare at that rate", Of: nPutHalf, Base: nBareHalf, Figure: P99, Unit: "µs", Reach: 3, Stretch: 1.5},
	{Name: "PUT on an idle server / one EVALSHA by go-redis, median", Of: nPutIdle, Base: nEvalIdle, Figure: P50, Unit: "µs", Reach: 1.5, Stretch: 1.2},
	{Name: "PUT with many likes stored / PUT on an empty store", Of: nPutFull, Base: nPut, Figure: PerSecond, Unit: "likes/s", Reach: 0.9, Stretch: 0.98},
	{Name: "allocations of a PUT in the API", Of: nAllocs, Figure: "allocs", Reach: 4, Stretch: 0},
	{Name: "API memory, 1000 connections under load", Of: nMemory, Figure: RSSMiB, Unit: "MiB", Reach: 150, Stretch: 60},
	{Name: "reconcile, pairs/s", Of: nReconcile, Figure: PerSecond, Unit: "pairs/s", Reach: 300_000, Stretch: 1_000_000},
	{Name: "PUT while reconcile and janitor run / without", Of: nPutChecked, Base: nPutWorker, Figure: PerSecond, Unit: "likes/s", Reach: 0.9, Stretch: 0.98, Wall: true},
	{Name: "p99 of others while 1 M likers are loaded / without", Of: nHydrate, Base: nPutHalf, Figure: P99, Unit: "µs", Reach: 2, Stretch: 1.1},
}
