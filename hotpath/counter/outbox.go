package counter

// outbox sorts the ops of one exchange into script calls. The lane owns it and uses
// its memory for one exchange after the other.
type outbox struct {
	names   []keys
	batches []*batch // of this exchange
	open    []*batch // by shard: the one that ops are added to, nil: none yet
	spare   []*batch

	round  uint64 // numbers the exchanges
	places [2 * maxFlush]place
}

// place tells where an item's group is, in the exchange that it was written in.
type place struct {
	round uint64
	batch *batch
	group int
}

func newOutbox(names []keys) *outbox {
	return &outbox{names: names, open: make([]*batch, len(names)), round: 1}
}

// add puts a slot behind the others on its item: into their batch, unless that is
// full.
func (o *outbox) add(s *slot) {
	b := o.open[s.shard]
	if b == nil || b.ops == maxScript {
		b = o.begin(s.shard)
	}
	p := o.find(s)
	if p.round != o.round || p.batch != b {
		*p = place{o.round, b, b.begin(s.op.Item)}
	}
	b.put(p.group, s)
}

// find is the place of the slot's item, or a free one. There are twice as many
// places as slots, so one is free.
func (o *outbox) find(s *slot) *place {
	for i := s.hash / Buckets; ; i++ {
		p := &o.places[i%uint64(len(o.places))]
		if p.round != o.round || p.batch.groups[p.group].item == s.op.Item {
			return p
		}
	}
}

func (o *outbox) begin(shard int) *batch {
	var b *batch
	if last := len(o.spare) - 1; last >= 0 {
		b, o.spare = o.spare[last], o.spare[:last]
		b.shard, b.names = shard, &o.names[shard]
	} else {
		b = newBatch(shard, &o.names[shard])
	}
	o.open[shard] = b
	o.batches = append(o.batches, b)
	return b
}

// empty forgets what was sent. All slots have been given away.
func (o *outbox) empty() {
	for _, b := range o.batches {
		o.open[b.shard] = nil
		b.empty()
	}
	o.spare = append(o.spare, o.batches...)
	o.batches = o.batches[:0]
	o.round++
}
