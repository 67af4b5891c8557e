package partner

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"plusone/scripts/dev/private"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/example"
)

// Suspect begins the ids of users whose likes fraud rejects.
const Suspect = "suspect-"

// resumeAfter is when a step is made again whose worker has died.
const resumeAfter = 2*Timeout + 6*time.Second

// endTime is how long calls and stores may take to end.
const endTime = 10 * time.Second

// secret signs the calls of a run; both sides of it are ours.
var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("what is asked for in this run alone"))

// Partners are the participants. All but Close is safe for concurrent use.
type Partners struct {
	All []*Partner // in the order of their calls

	redis    *private.Redis
	postgres *private.Postgres
	rdb      *redis.Client
	pool     *pgxpool.Pool
	points   *example.Points
	serving  errgroup.Group
}

// Partner is one participant.
type Partner struct {
	Name   string
	addr   string
	mood   atomic.Int32
	upset  atomic.Int64 // calls that met a mood
	next   http.Handler
	server *http.Server
}

// Be gives a participant a mood.
func (p *Partner) Be(m Mood) { p.mood.Store(int32(m)) }

// Start starts participants whose stores lie in dir. What it has started ends with
// Close, which is for the caller, also after an error.
func Start(ctx context.Context, dir string) (*Partners, error) {
	ps := &Partners{}
	var err error
	if ps.redis, err = private.StartRedis(ctx, private.RedisOptions{Dir: filepath.Join(dir, "partners-redis"), AppendFsync: "everysec"}); err != nil {
		return ps, err
	}
	if ps.postgres, err = private.StartPostgres(ctx, private.PostgresOptions{Dir: filepath.Join(dir, "partners-postgres")}); err != nil {
		return ps, err
	}
	o, err := redis.ParseURL(ps.redis.URL())
	if err != nil {
		return ps, err
	}
	ps.rdb = redis.NewClient(o)
	if ps.pool, err = pgxpool.New(ctx, ps.postgres.URL()); err != nil {
		return ps, err
	}
	articles, err := example.NewArticles(ctx, ps.pool)
	if err != nil {
		return ps, err
	}
	ps.points = example.NewPoints(ps.rdb)
	for _, p := range []struct {
		name string
		do   barrier.Do
	}{{"articles", articles.Do}, {"points", ps.points.Do}, {"fraud", suspect}} {
		if err := ps.open(p.name, p.do); err != nil {
			return ps, err
		}
	}
	return ps, nil
}

func (ps *Partners) open(name string, do barrier.Do) error {
	verifier, err := barrier.NewVerifier(secret)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p := &Partner{Name: name, addr: l.Addr().String(), next: barrier.Handler(verifier, endTime, do)}
	p.server = &http.Server{Handler: http.HandlerFunc(p.whim), ReadHeaderTimeout: endTime}
	ps.All = append(ps.All, p)
	ps.serving.Go(func() error {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("participant %s: %w", name, err)
		}
		return nil
	})
	return nil
}

// suspect is what fraud does.
func suspect(_ context.Context, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	answers := make([]barrier.Answer, len(ops))
	for i, op := range ops {
		answers[i] = op.Done()
		if step == barrier.Try && op.Liked && strings.HasPrefix(op.User, Suspect) {
			answers[i] = op.Rejected("suspect")
		}
	}
	return answers, nil
}

// Env tells plusone of them.
func (ps *Partners) Env() []string {
	names := make([]string, len(ps.All))
	for i, p := range ps.All {
		names[i] = p.Name + "=http://" + p.addr
	}
	return []string{
		"PLUSONE_PARTICIPANT=" + strings.Join(names, ","), "PLUSONE_PARTICIPANT_SECRET=" + secret,
		"PLUSONE_PARTICIPANT_TIMEOUT=" + Timeout.String(), "PLUSONE_SAGA_RESUME_AFTER=" + resumeAfter.String(),
	}
}

// Partner is the one of that name.
func (ps *Partners) Partner(name string) *Partner {
	for _, p := range ps.All {
		if p.Name == name {
			return p
		}
	}
	panic("no participant " + name)
}

// Upset is how many calls have met a mood.
func (ps *Partners) Upset() (n int64) {
	for _, p := range ps.All {
		n += p.upset.Load()
	}
	return n
}

// Close ends everything.
func (ps *Partners) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	var errs []error
	for _, p := range ps.All {
		errs = append(errs, p.server.Shutdown(ctx))
	}
	errs = append(errs, ps.serving.Wait())
	if ps.rdb != nil {
		errs = append(errs, ps.rdb.Close())
	}
	if ps.pool != nil {
		ps.pool.Close()
	}
	if ps.redis != nil {
		errs = append(errs, ps.redis.Stop(ctx))
	}
	if ps.postgres != nil {
		errs = append(errs, ps.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}
