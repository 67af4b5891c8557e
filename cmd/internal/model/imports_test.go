package model_test

import (
	"io"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

// elsewhere is a source of a few records.
type elsewhere struct{ left []transfer.Record }

func (e *elsewhere) Next() (r transfer.Record, err error) {
	if len(e.left) == 0 {
		return r, io.EOF
	}
	r, e.left = e.left[0], e.left[1:]
	return r, nil
}

func (e *elsewhere) Place() string { return "" }

// bring imports some pairs, each once.
func (m *machine) bring() {
	pairs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) model.Pair {
		return model.Pair{Item: rapid.SampledFrom(items).Draw(t, "item"), User: rapid.SampledFrom(users).Draw(t, "user")}
	}), 1, 4, rapid.ID[model.Pair]).Draw(m.T, "pairs")
	records := make([]transfer.Record, len(pairs))
	for i, p := range pairs {
		liked := rapid.SampledFrom([]bool{true, true, false}).Draw(m.T, "liked")
		records[i] = transfer.Record{Item: p.Item, User: p.User, Liked: liked}
	}
	ends := make([]like.Version, m.w.Shards)
	for s, l := range m.w.Logs {
		ends[s] = end(l)
	}
	importer := transfer.Importer{Ledger: m.r.ledger, Log: m.house().log, Patience: patience}
	_, err := importer.Run(background, &elsewhere{records}, ledger.ImportRun{},
		func([]*transfer.Reject) (int64, error) { return 0, nil }, func(ledger.ImportRun) error { return nil })
	m.fatal(err)

	m.now = nil
	m.w.Verify() // it looks before it writes
	seen := m.look()
	for s, l := range m.w.Logs { // a shard that has given nothing gets a higher floor, which nobody can foresee
		if ends[s] == 0 {
			l.Floor = max(l.Floor, seen.Shards[s].Floor)
		}
	}
	for i, p := range pairs {
		v := like.ImportedAt(ends[m.w.Shard(p.Item)].Time(), ends[m.w.Shard(p.Item)])
		if ends[m.w.Shard(p.Item)] == 0 {
			if v = 0; seen.Rows[p] != m.w.Rows[p] {
				v = seen.Rows[p].Version
			}
		}
		if shard := m.w.Shard(p.Item); m.w.Import(p, records[i].Liked, v) {
			m.w.Logs[shard].Signed = m.mark(shard)
		}
	}
}

// mark is what tells a log that has not heard of an import: the marker at the end of an
// open one, something above all ends of a closed one.
func (m *machine) mark(shard int) like.Version {
	l, seen := m.w.Logs[shard], m.look().Shards[shard]
	switch n := len(seen.Entries); {
	case l.Open && n > 0 && len(seen.Entries[n-1].Changes) == 0:
		return seen.Entries[n-1].Version
	case l.Open:
		m.Fatalf("an import has put no marker at the end of the log of shard %d: %v", shard, seen.Entries)
	case seen.Signed <= max(l.Last, l.Watermark):
		m.Fatalf("an import into the closed shard %d is marked %s", shard, seen.Signed)
	}
	return seen.Signed
}

// end is what imported versions of a shard are below, zero when only the clock tells.
func end(l *model.Log) like.Version {
	for _, e := range l.Pending() {
		if len(e.Changes) > 0 {
			return e.Version - 1
		}
	}
	if last := max(l.Last, l.Watermark); last.Time().UnixMilli() > 0 {
		return last
	}
	return 0
}
