package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	// chunkRecords are dealt with together: the more, the fewer items has each of their
	// transactions. Behind each chunk it is noted how far the import is.
	chunkRecords = 65536
	// batchRows is how many rows one transaction takes: locks are held for as long.
	batchRows = 4096
	// sideBySide is how many transactions are under way at a time.
	sideBySide = 8
)

// Importer brings likes in. Any number may run, also of the same records.
type Importer struct {
	Ledger *ledger.Ledger
	Log    *counter.Log
	DryRun bool // look only

	// Patience is how long a store may be away before the import gives up.
	Patience time.Duration
	// Waiting is told why nothing goes on, about once a second so long.
	Waiting func(error)

	looking sync.Mutex
	server  string // that was looked at
}

// chunk is what is dealt with together.
type chunk struct {
	records []Record
	rejects []*Reject
	place   string
	err     error // ends the source; io.EOF: well
}

// size is how many records of the source it holds, good ones and others.
func (c *chunk) size() int64 { return int64(len(c.records) + len(c.rejects)) }

// Run brings in what src has behind run.Records, which it counts on (or, where a place
// says it, what src yields). reject keeps rejects and returns how long their file is then;
// note keeps how far run is. After an error, or the end of ctx, another Run may go on from
// what was noted last; ctx is looked at between chunks, so that what has begun is ended.
func (i *Importer) Run(ctx context.Context, src Source, run ledger.ImportRun,
	reject func([]*Reject) (int64, error), note func(ledger.ImportRun) error,
) (ledger.ImportRun, error) {
	if run.Place == "" {
		if err := skip(ctx, src, run.Records); err != nil {
			return run, err
		}
	}
	ends, err := i.ends(ctx)
	if err != nil {
		return run, err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	chunks := make(chan *chunk, 1) // one is read while another is written
	reading.Go(func() { read(ctx, src, chunks) })
	for {
		var c *chunk
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case c = <-chunks:
		}
		if c.size() > 0 {
			if run, err = i.chunk(ctx, c, ends, run, reject); err == nil {
				err = note(run)
			}
		}
		switch {
		case err != nil:
			return run, err
		case errors.Is(c.err, io.EOF):
			return run, nil
		case c.err != nil:
			return run, c.err
		}
	}
}

func skip(ctx context.Context, src Source, n int64) error {
	for range n {
		_, err := src.Next()
		var bad *Reject
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the source ends before record %d, behind which this import is to go on: %w", n, io.ErrUnexpectedEOF)
		case err != nil && !errors.As(err, &bad):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}

// read gathers chunks until the source ends, or ctx.
func read(ctx context.Context, src Source, chunks chan<- *chunk) {
	for {
		c := &chunk{records: make([]Record, 0, chunkRecords)}
		for c.err == nil && c.size() < chunkRecords {
			r, err := src.Next()
			var bad *Reject
			switch {
			case errors.As(err, &bad):
				c.rejects = append(c.rejects, bad)
			case err != nil:
				c.err = err
			default:
				c.records = append(c.records, r)
			}
		}
		c.place = src.Place()
		select {
		case <-ctx.Done():
			return
		case chunks <- c:
		}
		if c.err != nil {
			return
		}
	}
}

// chunk deals with one chunk: all shards side by side.
func (i *Importer) chunk(ctx context.Context, c *chunk, ends []like.Version, run ledger.ImportRun,
	reject func([]*Reject) (int64, error),
) (ledger.ImportRun, error) {
	batches := split(c.records, ends)
	results := make([]moved, len(batches))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for n, b := range batches {
		group.Go(func() (err error) {
			results[n], err = i.batch(ctx, b)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return run, err
	}
	rejects, brought := c.rejects, int64(0)
	for _, m := range results {
		brought += m.rows
		rejects = append(rejects, m.rejects...)
	}
	if len(rejects) > 0 {
		slices.SortStableFunc(rejects, func(a, b *Reject) int { return int(a.Line - b.Line) })
		length, err := reject(rejects)
		if err != nil {
			return run, fmt.Errorf("keep rejects: %w", err)
		}
		run.Rejects = length
	}
	run.Records += c.size()
	run.Place = c.place
	run.Brought += brought
	run.Rejected += int64(len(rejects))
	run.Kept += c.size() - brought - int64(len(rejects))
	return run, nil
}

// batch is what one transaction writes.
type batch struct {
	shard int
	rows  []ledger.Row
	lines map[counter.Pair]Record
}

// split makes batches of records: by shard, each pair once, sorted. Of a pair that comes
// more than once the newest counts, or the last.
func split(records []Record, ends []like.Version) (batches []batch) {
	shards := make([][]numbered, len(ends))
	for n, r := range records {
		bucket := counter.Bucket(r.Item)
		s := bucket % len(ends)
		at := r.At
		if at.IsZero() {
			at = ends[s].Time()
		}
		shards[s] = append(shards[s], numbered{n, ledger.Row{
			Item: r.Item, User: r.User, Liked: r.Liked, Version: like.ImportedAt(at, ends[s]), Bucket: bucket,
		}})
	}
	for s, all := range shards {
		slices.SortFunc(all, numbered.compare)
		all = newest(all)
		for some := range slices.Chunk(all, batchRows) {
			b := batch{shard: s, rows: make([]ledger.Row, len(some)), lines: make(map[counter.Pair]Record, len(some))}
			for i, row := range some {
				b.rows[i] = row.Row
				b.lines[counter.Pair{Item: row.Item, User: row.User}] = records[row.n]
			}
			batches = append(batches, b)
		}
	}
	return batches
}

// numbered is a row and its record's place in the chunk.
type numbered struct {
	n int
	ledger.Row
}

func (r numbered) compare(o numbered) int {
	if c := r.Compare(o.Row); c != 0 {
		return c
	}
	if r.Version != o.Version {
		if r.Version < o.Version {
			return -1
		}
		return 1
	}
	return r.n - o.n
}

// newest keeps the last of each pair.
func newest(all []numbered) []numbered {
	kept := all[:0]
	for i, r := range all {
		if i+1 == len(all) || r.Compare(all[i+1].Row) != 0 {
			kept = append(kept, r)
		}
	}
	return kept
}

// ends are below what every change has that waits in a log or is to come; imported rows
// must be older. Where a log has given no change yet, or has been lost, that is a moment
// ago by Redis' clock, which gives the next one its id; a shard that is still to be opened
// begins above it, too, since its floor is raised.
func (i *Importer) ends(ctx context.Context) ([]like.Version, error) {
	marks, err := i.Ledger.Watermarks(ctx)
	if err != nil {
		return nil, err
	}
	tails, err := i.Log.Tails(ctx)
	if err != nil {
		return nil, err
	}
	ends := make([]like.Version, i.Log.Shards())
	for s := range ends {
		if ends[s], err = i.end(ctx, s, max(marks[s], tails[s].Last), marks[s]); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// clockSkew is how far the clocks of Redis' servers may be apart.
const clockSkew = time.Minute

func (i *Importer) end(ctx context.Context, shard int, last, watermark like.Version) (like.Version, error) {
	next, err := i.Log.Waits(ctx, shard, watermark)
	switch {
	case err != nil:
		return 0, err
	case next > 0:
		return next - 1, nil
	case last.Time().UnixMilli() > 0:
		return last, nil
	}
	now, err := i.Log.Time(ctx)
	if err != nil {
		return 0, err
	}
	end := like.DirectAt(now.Add(-clockSkew))
	if !i.DryRun {
		err = i.Ledger.Raise(ctx, shard, end)
	}
	return end, err
}
