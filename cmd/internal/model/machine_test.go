package model_test

import (
	"context"
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// Few of each, so that they meet all the time.
var (
	items = []string{"a", "b", "c", "d", "e"}
	users = []string{"u", "v", "w"}
)

// machine drives the real code and the model side by side.
type machine struct {
	*rapid.T
	r       *rig
	w       *model.World
	seen    *model.Seen   // at the end of the last step
	now     *model.Seen   // in this step, nil when it has to be read
	touched model.Set     // items that may have become resident
	late    model.Set     // items that may still be loading behind an answer
	faulty  bool          // an exchange was lost in this step
	past    []model.Entry // what the ledger has seen
	strays  bool          // Redis holds shards that the present number does not have
	copies  []backup      // of Redis, oldest first
	repairs int           // findings that were due
}

// TestTheCodeDoesWhatTheModelSays runs random sequences of steps; after each of
// them both stores hold what the model says, and every invariant.
func TestTheCodeDoesWhatTheModelSays(t *testing.T) {
	runners := map[string]func(testing.TB) *rig{
		"redis, items resident wholly": func(t testing.TB) *rig { return newRig(t, 0) },
		"redis, items resident partly": func(t testing.TB) *rig { return newRig(t, 1) },
		"miniredis":                    func(t testing.TB) *rig { return newMiniRig(t, 1) },
	}
	sequences := 2000
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		sequences = 200_000
	}
	rapidly(t, map[string]string{
		"rapid.checks": strconv.Itoa(sequences/len(runners) + 1), "rapid.steps": "6", "rapid.nofailfile": "true",
	})
	for name, newRig := range runners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			rapid.Check(t, func(t *rapid.T) { run(t, r) })
		})
	}
}

// rapidly sets rapid's flags, except those that the command line gives.
func rapidly(t *testing.T, flags map[string]string) {
	t.Helper()
	flag.Visit(func(f *flag.Flag) { delete(flags, f.Name) })
	for name, value := range flags {
		must(t, flag.Set(name, value))
	}
}

// run is one sequence.
func run(t *rapid.T, r *rig) {
	shards := rapid.SampledFrom(numbersOfShards).Draw(t, "shards")
	if err := r.reset(shards); err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, r: r, w: model.New(shards), seen: &model.Seen{}, touched: model.Set{}, late: model.Set{}}
	t.Repeat(map[string]func(*rapid.T){
		"":     func(*rapid.T) { m.check() },
		"step": func(t *rapid.T) { m.T = t; m.step() },
	})
	m.finish()
}

// house is the code for the present number of shards.
func (m *machine) house() *house { return m.r.houses[m.w.Shards] }

// steps are the actions, each as often as it is to be chosen; rapid prefers the
// first ones.
var steps = slices.Concat(
	times(7, "ops"), times(4, "votes"), times(6, "drain"), times(4, "evict"), times(3, "read"), times(2, "forget"), times(3, "deliver"), times(2, "slow"), times(3, "freeze"), times(3, "bring"),
	times(2, "save"), times(2, "failover"), times(1, "flush"), times(1, "reshard"), times(1, "reconcile"), times(1, "damage"), times(1, "stopped"),
)

func times(n int, name string) []string { return slices.Repeat([]string{name}, n) }

func (m *machine) step() {
	switch rapid.SampledFrom(steps).Draw(m.T, "step") {
	case "ops":
		m.faults(m.ops)
	case "votes":
		m.faults(m.votes)
	case "read":
		m.faults(m.read)
	case "drain":
		m.faults(m.drain)
	case "evict":
		m.faults(m.evict)
	case "forget":
		m.faults(m.forget)
	case "slow":
		m.slow()
	case "deliver":
		m.deliver()
	case "freeze":
		m.freeze()
	case "bring":
		m.bring()
	case "flush":
		m.flush()
	case "save":
		m.save()
	case "failover":
		m.failover()
	case "reconcile":
		m.reconcile()
	case "stopped":
		m.stopped()
	case "damage":
		m.damage()
	case "reshard":
		m.reshard()
	}
}

// check looks at both stores and compares them with the model.
func (m *machine) check() {
	seen := m.look()
	if err := m.w.Match(seen, m.touched); err != nil {
		m.Fatalf("the stores are not what the model says: %v\n%+v\n%+v", err, seen, m.w)
	}
	m.sound(seen)
}

// cooled says that an item is cold now.
func (m *machine) cooled(item string) {
	if !m.late[item] {
		delete(m.touched, item)
	}
}

func (m *machine) allCooled() {
	for _, item := range items {
		m.cooled(item)
	}
}

// look reads both stores, once a step unless something has happened since.
func (m *machine) look() *model.Seen {
	if m.now == nil {
		var err error
		if m.now, err = m.r.look(m.w.Shards); err != nil {
			m.Fatal(err)
		}
	}
	return m.now
}

func (m *machine) sound(seen *model.Seen) {
	if err := seen.Sound(m.seen); err != nil {
		m.Fatalf("%v\n%+v", err, seen)
	}
	if seen.Repairs != m.repairs {
		m.Fatalf("I8: %d findings were noted, %d were due", seen.Repairs, m.repairs)
	}
	m.seen, m.now = seen, nil
}

// finish drains everything: both sides hold the same, and what the model says.
func (m *machine) finish() {
	m.fatal(m.house().counter.Ready(background))
	m.w.Verify()
	for shard, l := range m.w.Logs {
		if len(l.Pending()) > 0 {
			m.drainShard(shard)
		}
	}
	m.check()
	for item, it := range m.seen.Items {
		if it.Count != m.seen.Counts[item] {
			m.Fatalf("I3: %s has %d likes in redis, %d in the ledger", item, it.Count, m.seen.Counts[item])
		}
		for user := range it.Users {
			if !m.seen.Rows[model.Pair{Item: item, User: user}].Liked {
				m.Fatalf("I3: the ledger lacks %s by %s", item, user)
			}
		}
	}
}

var faults = slices.Concat(times(16, "none"), times(2, "redis"), times(1, "ledger"))

// faults runs an action, now and then with an exchange that is lost.
func (m *machine) faults(action func()) {
	m.faulty = false
	wires := map[string]*privatetest.Wire{"redis": m.r.redis, "ledger": m.r.pg}
	store := wires[rapid.SampledFrom(faults).Draw(m.T, "fault")]
	if store == nil {
		action()
		return
	}
	store.Lose(rapid.IntRange(0, 7).Draw(m.T, "exchange"), rapid.Bool().Draw(m.T, "reply"))
	m.faulty = true
	action()
	m.faulty = false
	switch lost := store.Calm(); {
	case lost && store == m.r.pg:
		m.r.settle()
	case lost && m.r.mini != nil: // times to live pass only when they are told to
		m.r.mini.FastForward(10 * time.Second)
	}
}

// broken takes an error, which only a fault may have caused.
func (m *machine) broken(err error) {
	if err != nil && !m.faulty {
		m.Fatal(err)
	}
}

func (m *machine) genItem() string { return rapid.SampledFrom(items).Draw(m.T, "item") }

func (m *machine) genOps() []like.Op {
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 3, 4}).Draw(m.T, "n")
	ops := make([]like.Op, n)
	for i := range ops {
		ops[i] = like.Op{
			Item: m.genItem(), User: rapid.SampledFrom(users).Draw(m.T, "user"),
			Want: rapid.SampledFrom([]like.Want{like.Liked, like.NotLiked, like.Toggle}).Draw(m.T, "want"),
		}
	}
	return ops
}

var background = context.Background()
