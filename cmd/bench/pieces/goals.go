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
	{Name: "PUT, always / bare", Of: nPutAlways, Base: nBare, Figure: PerSecond, Unit: "likes/s", Reach: 0.55, Stretch: 0.80},
	{Name: "sustained / bare", Of: nSustained, Base: nBare, Figure: PerSecond, Unit: "likes/s", Reach: 0.40, Stretch: 0.60},
	{Name: "sustained / best Postgres alone", Of: nSustained, Base: nInsert, Figure: PerSecond, Unit: "likes/s", Reach: 6, Stretch: 9},
	{Name: "sustained / EVALSHA and asynq task, persisted", Of: nSustained, Base: nAsynq, Figure: PerSecond, Unit: "likes/s", Reach: 40, Stretch: 80, Wall: true},
	{Name: "drain / raw-upsert", Of: nDrain, Base: nUpsert, Figure: PerSecond, Unit: "rows/s", Reach: 0.8, Stretch: 0.95},
	{Name: "Redis CPU a like / raw-redis, 1000 items", Of: nScript, Base: nRaw1000, Figure: MainThread, Unit: "µs", Reach: 1.4, Stretch: 1.0},
	{Name: "Redis CPU a like / raw-redis, ten items", Of: nScriptHot, Base: nRawHot, Figure: MainThread, Unit: "µs", Reach: 0.9, Stretch: 0.6},
}
