package house

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"plusone/cmd/chaos/partner"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private"
)

// Options say what to build the house of.
type Options struct {
	Bin   string // the plusone to run
	Dir   string // for data and logs
	Fsync string // Redis' appendfsync

	Partners bool // whether participants must agree to likes
}

// endTime is how long anything may take to end in good order.
const endTime = 30 * time.Second

// Shards is how many shards the house has.
const Shards = like.DefaultShards

// House is a running plusone. Its methods are for one goroutine.
type House struct {
	Redis    *private.Redis
	Postgres *private.Postgres
	All      []*Process        // api-1, api-2, worker-1, worker-2, reconcile
	Links    map[string]*Link  // "api-1 redis", …
	NoDisks  error             // why the stores are not on small disks
	NoClocks error             // why clocks can't be moved
	Partners *partner.Partners // nil: none must agree

	Rdb  *redis.Client // straight to Redis
	Pool *pgxpool.Pool // straight to Postgres

	opts              Options
	redisDisk, pgDisk *disk
	clock             uint64 // where in a process' memory its clock is moved
	supervisors       errgroup.Group
	stop              context.CancelFunc
}

// Build starts everything and returns when every process answers. What it has
// started ends with Close, which is for the caller, also after an error.
func Build(ctx context.Context, o Options) (*House, error) {
	h := &House{opts: o, Links: map[string]*Link{}}
	h.clock, h.NoClocks = clockOf(o.Bin)
	if err := h.startStores(ctx); err != nil {
		return h, err
	}
	if _, err := h.Plusone(ctx, "migrate", "--postgres-url", h.Postgres.URL()); err != nil {
		return h, err
	}
	if o.Partners {
		var err error
		if h.Partners, err = partner.Start(ctx, o.Dir); err != nil {
			return h, err
		}
	}
	if err := h.startProcesses(); err != nil {
		return h, err
	}
	return h, h.ready(ctx)
}

func (h *House) startStores(ctx context.Context) (err error) {
	r, p := filepath.Join(h.opts.Dir, "redis"), filepath.Join(h.opts.Dir, "postgres")
	if h.redisDisk, h.NoDisks = newDisk(r); h.NoDisks == nil {
		h.pgDisk, h.NoDisks = newDisk(p)
	}
	h.Redis, err = private.StartRedis(ctx, private.RedisOptions{Dir: r, AppendFsync: h.opts.Fsync, Extra: []string{"--enable-debug-command", "no"}})
	if err != nil {
		return err
	}
	if h.Postgres, err = private.StartPostgres(ctx, private.PostgresOptions{Dir: p}); err != nil {
		return err
	}
	o, err := redis.ParseURL(h.Redis.URL())
	if err != nil {
		return err
	}
	o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
	h.Rdb = redis.NewClient(o)
	if h.Pool, err = pgxpool.New(ctx, h.Postgres.URL()); err != nil {
		return err
	}
	return h.shrinkWAL(ctx)
}

// shrinkWAL keeps Postgres' log of changes far smaller than the disk it is on.
func (h *House) shrinkWAL(ctx context.Context) error {
	for _, sql := range []string{
		`ALTER SYSTEM SET max_wal_size = '96MB'`, `ALTER SYSTEM SET min_wal_size = '32MB'`, `SELECT pg_reload_conf()`,
	} {
		if _, err := h.Pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func (h *House) startProcesses() error {
	proxies := newProxies()
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	for _, name := range []string{"api-1", "api-2", "worker-1", "worker-2", "reconcile"} {
		p, err := h.newProcess(name)
		if err != nil {
			return err
		}
		for store, u := range map[string]string{"redis": h.Redis.URL(), "postgres": h.Postgres.URL()} {
			where, err := url.Parse(u)
			if err != nil {
				return err
			}
			link, err := newLink(proxies, name+" "+store, where.Host)
			if err != nil {
				return err
			}
			where.Host = link.Addr()
			h.Links[link.Name] = link
			p.env = append(p.env, "PLUSONE_"+strings.ToUpper(store)+"_URL="+where.String())
		}
		h.All = append(h.All, p)
		h.supervisors.Go(func() error { return p.run(ctx) })
	}
	return nil
}

// The reconciler looks far more often than it would in service, so that it
// meets every fault, and it alone believes that memory is short, so that its
// janitor always has work while the APIs go on loading.
var roleArgs = map[string][]string{
	"api":       {"api"},
	"worker":    {"worker"},
	"reconcile": {"reconcile", "--reconcile-every=2s", "--reconcile-full=10s", "--resident-max-bytes=5000000"},
}

// Key is what servers act with.
const Key = "chaos-chaos-chaos-chaos-chaos-chaos-chaos"

// rules are settings that all processes share: a quota whose window no run outlives,
// and who may vote.
func rules() []string {
	return []string{
		fmt.Sprintf("PLUSONE_QUOTA=%d/8784h", Quota), "PLUSONE_QUOTA_REFUND_UNLIKES=true",
		fmt.Sprintf("PLUSONE_SERVER_KEYS=chaos=sha256:%x", sha256.Sum256([]byte(Key))),
	}
}

// small makes items with more than a few likers large: such are in Redis partly
// only.
const small = "PLUSONE_RESIDENT_SET_MAX=24"

func (h *House) newProcess(name string) (*Process, error) {
	role, _, _ := strings.Cut(name, "-")
	inside, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p := &Process{
		Name: name, Inside: inside, bin: h.opts.Bin, log: filepath.Join(h.opts.Dir, name+".log"), wake: make(chan struct{}, 1),
		args: slices.Concat(roleArgs[role], []string{"--internal-listen", inside}), env: slices.Concat(cleanEnv(), []string{small}, rules()),
	}
	if h.Partners != nil {
		p.env = append(p.env, h.Partners.Env()...)
	}
	if role == "api" {
		if p.Public, err = freeAddr(); err != nil {
			return nil, err
		}
		p.args = append(p.args, "--listen", p.Public)
	}
	return p, nil
}

// cleanEnv is our environment without settings of plusone.
func cleanEnv() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PLUSONE_") {
			env = append(env, kv)
		}
	}
	return env
}

// freeAddr names a loopback address below the ports of outgoing connections,
// so that nobody sits on it while its process is away.
func freeAddr() (string, error) {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp4", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free loopback port")
}

// Plusone runs a command of plusone over the stores, straight, and returns what
// it prints.
func (h *House) Plusone(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, h.opts.Bin, args...)
	cmd.Env = cleanEnv()
	out, err := cmd.Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		return out, fmt.Errorf("plusone %s: %w: %s", args[0], err, failed.Stderr)
	}
	return out, err
}

// Process is the process of that name.
func (h *House) Process(name string) *Process {
	for _, p := range h.All {
		if p.Name == name {
			return p
		}
	}
	panic("no process " + name)
}

// Close ends everything, processes first.
func (h *House) Close() error {
	var errs []error
	if h.stop != nil {
		h.stop()
		errs = append(errs, h.supervisors.Wait())
	}
	for _, l := range h.Links {
		errs = append(errs, l.Cut())
	}
	if h.Partners != nil {
		errs = append(errs, h.Partners.Close())
	}
	if h.Rdb != nil {
		errs = append(errs, h.Rdb.Close())
	}
	if h.Pool != nil {
		h.Pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if h.Redis != nil {
		errs = append(errs, h.Redis.Stop(ctx))
	}
	if h.Postgres != nil {
		errs = append(errs, h.Postgres.Stop(ctx))
	}
	for _, d := range []*disk{h.redisDisk, h.pgDisk} {
		if d != nil {
			errs = append(errs, d.close())
		}
	}
	return errors.Join(errs...)
}
