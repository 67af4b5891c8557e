package model_test

import (
	"errors"

	"plusone/hotpath/like"
)

// reshard changes the number of shards, in the steps that `plusone migrate
// shards` takes.
func (m *machine) reshard() {
	from, to := m.w.Shards, numbersOfShards[0]
	if from == to {
		to = numbersOfShards[1]
	}
	if m.strays {
		m.Skip("shards of a copy with a larger number are left behind")
	}
	old := m.house()
	m.fatal(old.log.Move(background, to))
	m.refused(old)
	m.refused(m.r.houses[to]) // which may be left from earlier
	m.drainAll()
	marks, err := m.r.ledger.Watermarks(background)
	m.fatal(err)
	waiting, err := old.log.Waiting(background, marks)
	m.fatal(err)
	if waiting >= 0 {
		m.Fatalf("shard %d is drained and has something waiting", waiting)
	}
	m.fatal(m.r.ledger.ChangeShards(background, from, to))
	m.refused(m.r.houses[to])
	m.fatal(old.log.Retire(background, to))
	m.w.Reshard(to)
	m.now = nil
	m.allCooled()
	m.refused(old)
}

// refused holds that ops are refused now, and change nothing.
func (m *machine) refused(h *house) {
	for _, res := range h.apply(m.genOps()) {
		if !errors.Is(res.Err, like.ErrUnavailable) {
			m.Fatalf("an op is accepted while the number of shards changes: %+v", res)
		}
	}
}

func (m *machine) fatal(err error) {
	if err != nil {
		m.Fatal(err)
	}
}
