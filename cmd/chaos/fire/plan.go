package fire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"plusone/cmd/chaos/house"
)

// Skipped is a kind of fault that this machine cannot have.
type Skipped struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// Plan is an endless sequence of faults that a seed decides: every kind once,
// in another order each round.
type Plan struct {
	Skipped []Skipped
	kinds   []*kind
	rnd     *rand.Rand
	round   []*kind
}

// Names lists all kinds.
func Names() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// NewPlan plans the kinds that only names (all when it is empty) for a house.
func NewPlan(h *house.House, seed uint64, only []string) (*Plan, error) {
	for _, name := range only {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	p := &Plan{rnd: rand.New(rand.NewPCG(seed, 1))}
	for _, k := range kinds {
		if len(only) > 0 && !slices.Contains(only, k.name) {
			continue
		}
		if k.missing != nil {
			if err := k.missing(h); err != nil {
				p.Skipped = append(p.Skipped, Skipped{k.name, err.Error()})
				continue
			}
		}
		p.kinds = append(p.kinds, k)
	}
	if len(p.kinds) == 0 {
		return nil, fmt.Errorf("this machine can have none of the faults: %v", p.Skipped)
	}
	return p, nil
}

// Next draws the next fault. All that is drawn is drawn here, so that what
// happens during a fault changes none of those to come.
func (p *Plan) Next() *Fault {
	if len(p.round) == 0 {
		p.round = slices.Clone(p.kinds)
		p.rnd.Shuffle(len(p.round), func(i, j int) { p.round[i], p.round[j] = p.round[j], p.round[i] })
	}
	k := p.round[0]
	p.round = p.round[1:]
	f := &Fault{
		Kind: k.name, kind: k,
		Hold: time.Duration(300+p.rnd.IntN(2700)) * time.Millisecond,
		Wait: time.Duration(p.rnd.IntN(1000)) * time.Millisecond,
	}
	k.plan(f, p.rnd)
	return f
}
