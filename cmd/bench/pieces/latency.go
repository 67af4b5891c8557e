package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"plusone/cmd/bench/baseline"
	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// atHalf makes a load one of a fixed rate, half of what put reached in this round.
func (l *Lab) atHalf(p *load.Plan) { p.Rate = l.last[nPut].Values[PerSecond] / 2 }

func (l *Lab) knowsHalf() error {
	if l.last[nPut].Values[PerSecond] == 0 {
		return fmt.Errorf("%s was not measured before", nPut)
	}
	return nil
}

func halfBare(ctx context.Context, l *Lab) (Figures, error) {
	if err := l.knowsHalf(); err != nil {
		return Figures{}, err
	}
	return bare(l.atHalf)(ctx, l)
}

// half is PUT at half of its maximum while beside runs; nil: nothing does.
func half(beside func(context.Context, *stage.Process) error) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		if err := l.knowsHalf(); err != nil {
			return Figures{}, err
		}
		if beside == nil {
			return likes("everysec", l.atHalf)(ctx, l)
		}
		return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
			if _, err := s.Pool.Exec(ctx, manyLikersSQL, largeItem, l.Most/10); err != nil {
				return f, err
			}
			plan := l.plan(api.Addr, load.Put)
			l.atHalf(&plan)
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			done := make(chan error, 1) // one value, from the goroutine below
			go func() { done <- beside(ctx, api) }()
			f, err = l.likeBeside(ctx, &watcher{stage: s, api: api, every: sampling}, plan)
			cancel()
			if did := <-done; did != nil && !errors.Is(did, context.Canceled) {
				err = errors.Join(err, did)
			}
			return f, err
		})
	}
}

// likeBeside is like, in whose stage the large item is, too.
func (l *Lab) likeBeside(ctx context.Context, w *watcher, plan load.Plan) (Figures, error) {
	res, f, err := drive(ctx, w, plan)
	if err != nil {
		return f, err
	}
	stored, err := w.stage.StoredBut(ctx, largeItem)
	if err != nil {
		return f, err
	}
	f.Counted, err = same("Redis, the large item apart", stored, res)
	return f, err
}

// The item that is loaded while others are liked; of the many likes a tenth are
// its.
const (
	largeItem = "large"

	manyLikersSQL = `
WITH rows AS (
	INSERT INTO likes (item_id, user_id, liked, version) SELECT $1, (100000000000 + n)::text, true, n FROM generate_series(1, $2::bigint) n
)
INSERT INTO item_counts (item_id, bucket, count) VALUES ($1, 0, $2)`
)

// hydrate likes the large item again and again, each time as another of its
// likers: the first one finds it cold.
func hydrate(ctx context.Context, api *stage.Process) error {
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+api.Addr+"/v1/items/"+largeItem+"/like", nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-User-ID", load.User(uint64(n), false))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		said, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		// While it is loaded it may answer 503.
		if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("the large item answered %d: %s", res.StatusCode, said)
		}
	}
}

// An idle server is asked rarely, and about few items: all of them are resident
// before the measured time begins. The first like of an item waits for the ledger.
const (
	idleRate  = 200
	idleItems = 8
)

func idle(p *load.Plan) { p.Conns, p.Rate, p.Items = 1, idleRate, idleItems }

// idleEval is a script's round trip by go-redis, as often as idle asks.
func idleEval(ctx context.Context, l *Lab) (f Figures, err error) {
	s, err := l.Hall.New(ctx, stage.Needs{Redis: "everysec"})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	sha, err := s.Rdb.ScriptLoad(ctx, baseline.EvalText).Result()
	if err != nil {
		return f, err
	}
	pace := time.NewTicker(time.Second / idleRate)
	defer pace.Stop()
	took, next, end := hdrhistogram.New(1, 60_000_000, 3), load.Items(l.Items, load.LogUniform, l.Seed), after(l.time())
	var likes uint64
	for ; !end(); likes++ {
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-pace.C:
		}
		item, user := load.Item(next()), load.User(1e9+likes, false)
		start := time.Now()
		if err := s.Rdb.EvalSha(ctx, sha, []string{baseline.LikersPrefix + item, baseline.CountsKey}, user, item).Err(); err != nil {
			return f, err
		}
		if err := took.RecordValue(max(1, time.Since(start).Microseconds())); err != nil {
			return f, err
		}
	}
	at := func(q float64) float64 { return float64(took.ValueAtQuantile(q)) }
	f.Values = map[string]float64{PerSecond: idleRate, P50: at(50), P90: at(90), P99: at(99)}
	f.Counted, err = counted(ctx, s, load.Result{Acked: likes})
	return f, err
}
