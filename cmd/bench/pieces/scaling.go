package pieces

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// Curve is how a figure changes as work grows.
type Curve struct {
	Name   string  `json:"name"`   // of the figure, with its unit
	Over   string  `json:"over"`   // what grows
	Points []Point `json:"points"` // in the order of X
}

// Point is one measurement of a curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// speed is two curves of the same loads.
type speed struct{ rate, cpu Curve }

func newSpeed(over string) *speed {
	return &speed{Curve{Name: "PUT, likes/s", Over: over}, Curve{Name: "PUT, CPU µs a like", Over: over}}
}

func (s *speed) add(x float64, f Figures) {
	s.rate.Points = append(s.rate.Points, Point{x, f.Values[PerSecond]})
	s.cpu.Points = append(s.cpu.Points, Point{x, f.Values[CPUAll]})
}

// Scaling measures what a like costs as work grows, and says each curve when it is
// there. Every load is counted.
func (l *Lab) Scaling(ctx context.Context, say func(Curve)) error {
	for _, s := range []struct {
		over string
		run  func(context.Context, *Lab, *speed) error
	}{
		{"likes stored", overStored},
		{"items", overItems},
		{"connections", overConns},
		{"likes a POST", overBatch},
	} {
		speed := newSpeed(s.over)
		if err := s.run(ctx, l, speed); err != nil {
			return fmt.Errorf("over %s: %w", s.over, err)
		}
		say(speed.rate)
		say(speed.cpu)
	}
	for _, uuids := range []bool{false, true} {
		if err := l.bytes(ctx, uuids, say); err != nil {
			return err
		}
	}
	return nil
}

// powers are the powers of step from from to most.
func powers(from, most, step int) (all []int) {
	for n := from; n <= most; n *= step {
		all = append(all, n)
	}
	return all
}

// grown is a stage on which one load follows the other.
type grown struct {
	*Lab
	stage *stage.Stage
	api   *stage.Process
	user  uint64
	sum   load.Result
}

// grow opens a stage for several loads and counts what they leave.
func (l *Lab) grow(ctx context.Context, do func(*grown) error) error {
	_, err := l.onAPI(ctx, "everysec", []string{"--resident-max-bytes", "8589934592"}, func(s *stage.Stage, api *stage.Process) (Figures, error) {
		g := &grown{Lab: l, stage: s, api: api, user: 1e9}
		if err := do(g); err != nil {
			return Figures{}, err
		}
		stored, err := s.Stored(ctx)
		if err != nil {
			return Figures{}, err
		}
		_, err = same("Redis", stored, g.sum)
		return Figures{}, err
	})
	return err
}

// next is a load of users that were not there yet.
func (g *grown) next(ctx context.Context, change func(*load.Plan)) (Figures, error) {
	plan := g.plan(g.api.Addr, load.Put)
	plan.FirstUser = g.user
	change(&plan)
	res, f, err := drive(ctx, &watcher{stage: g.stage, api: g.api, every: sampling}, plan)
	g.add(res)
	return f, err
}

// more stores so many likes.
func (g *grown) more(ctx context.Context, likes uint64, change func(*load.Plan)) error {
	res, err := g.fill(ctx, g.stage, g.api, likes, func(p *load.Plan) { p.FirstUser = g.user; change(p) })
	g.add(res)
	return err
}

func (g *grown) add(res load.Result) {
	g.sum.Acked += res.Acked
	g.sum.Unknown += res.Unknown
	g.user += 1e8 // more than one load likes
}

func overStored(ctx context.Context, l *Lab, s *speed) error {
	return l.grow(ctx, func(g *grown) error {
		for _, n := range powers(10_000, int(l.Most), 10) {
			if stored := g.sum.Acked; stored < uint64(n) {
				if err := g.more(ctx, uint64(n)-stored, asItIs); err != nil {
					return err
				}
			}
			f, err := g.next(ctx, asItIs)
			if err != nil {
				return err
			}
			s.add(float64(n), f)
		}
		return nil
	})
}

func overItems(ctx context.Context, l *Lab, s *speed) error {
	for _, n := range powers(1, int(l.Most/10), 10) {
		err := l.grow(ctx, func(g *grown) error {
			f, err := g.next(ctx, func(p *load.Plan) { p.Items = n })
			s.add(float64(n), f)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func overConns(ctx context.Context, l *Lab, s *speed) error {
	return l.grow(ctx, func(g *grown) error {
		for _, n := range powers(1, 4096, 4) {
			f, err := g.next(ctx, func(p *load.Plan) { p.Conns = n })
			if err != nil {
				return err
			}
			s.add(float64(n), f)
		}
		return nil
	})
}

func overBatch(ctx context.Context, l *Lab, s *speed) error {
	s.rate.Name, s.cpu.Name = strings.ReplaceAll(s.rate.Name, "PUT", "POST"), strings.ReplaceAll(s.cpu.Name, "PUT", "POST")
	return l.grow(ctx, func(g *grown) error {
		for _, n := range powers(1, 1000, 10) {
			f, err := g.next(ctx, inBulk(n))
			if err != nil {
				return err
			}
			s.add(float64(n), f)
		}
		return nil
	})
}

// bytes measures what a like takes in both stores once it is at rest, for items
// with few and with many likers.
func (l *Lab) bytes(ctx context.Context, uuids bool, say func(Curve)) error {
	ids := map[bool]string{false: "numbers of 12 digits", true: "UUIDs"}[uuids]
	redis := Curve{Name: "Redis, bytes a like, users are " + ids, Over: "likers of an item"}
	postgres := Curve{Name: "Postgres, bytes a like with indexes, users are " + ids, Over: "likers of an item"}
	likes := l.Most / 50
	for _, likers := range powers(1, int(likes), 10) {
		err := l.grow(ctx, func(g *grown) error {
			before, err := g.stage.RedisBytes(ctx)
			if err != nil {
				return err
			}
			err = g.more(ctx, likes, func(p *load.Plan) { p.Items, p.Spread, p.UUIDs = int(likes)/likers, load.Uniform, uuids })
			if err != nil {
				return err
			}
			if err := g.rest(ctx); err != nil {
				return err
			}
			after, err := g.stage.RedisBytes(ctx)
			if err != nil {
				return err
			}
			tables, err := g.stage.TableBytes(ctx)
			n := float64(g.sum.Acked)
			redis.Points = append(redis.Points, Point{float64(likers), float64(after-before) / n})
			postgres.Points = append(postgres.Points, Point{float64(likers), float64(tables) / n})
			return err
		})
		if err != nil {
			return fmt.Errorf("bytes a like at %s likers an item: %w", strconv.Itoa(likers), err)
		}
	}
	say(redis)
	say(postgres)
	return nil
}

// rest lets a worker move all likes, and waits until the logs are trimmed.
func (g *grown) rest(ctx context.Context) error {
	worker, err := g.stage.Plusone(ctx, "worker")
	if err != nil {
		return err
	}
	if _, err := g.settled(ctx, g.stage, g.sum); err != nil {
		return err
	}
	return g.stage.Stop(worker) // it trims what it has drained, first
}
