package doctor

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"plusone/cmd/internal/stores"
	"plusone/hotpath/counter"
)

// redisServer is what the server's own facts tell.
func (e *exam) redisServer() []Finding {
	all := []Finding{e.redisVersion(), e.redisSecurity(), e.redisWrites(), e.promise()}
	for _, check := range []func() (Finding, bool){
		e.eviction, e.memory, e.overcommit, e.rewrite, e.lastSaves, e.clients, e.idleTimeout, e.intsets, e.hidden,
	} {
		if f, looked := check(); looked {
			all = append(all, f)
		}
	}
	return all
}

// number reads a field of INFO; a missing one is -1.
func (e *exam) number(field string) int64 {
	n, err := strconv.ParseInt(e.facts.Info[field], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// The scripts use XADD's NOMKSTREAM-less floors, XTRIM MINID and exclusive XRANGE
// of 6.2; what has been tested is 7.0.
var oldest, tested = version{6, 2, 0}, version{7, 0, 0}

func (e *exam) redisVersion() Finding {
	const check, upgrade = "redis.version", "upgrade to Redis 7.2 or later"
	text := e.facts.Info["redis_version"]
	v, readable := parseVersion(text)
	switch {
	case !readable:
		return warning(check, "ask your provider; plusone needs Redis 6.2 or later", "the server does not tell its version")
	case e.facts.Info["valkey_version"] != "":
		return ok(check, "Valkey %s, which speaks as Redis %s", e.facts.Info["valkey_version"], text)
	case v.below(oldest):
		return wrong(check, upgrade, "Redis %s lacks commands that the scripts use: likes fail", text)
	case v.below(tested):
		return warning(check, upgrade, "Redis %s may do, but plusone is tested with 7.0 and later", text)
	}
	return ok(check, "Redis %s", text)
}

func (e *exam) redisSecurity() Finding {
	const check = "redis.security"
	v, readable := parseVersion(e.facts.Info["redis_version"])
	if !readable || e.facts.Info["valkey_version"] != "" {
		return warning(check, "compare its version with the advisories of its maker", "no list of known faults for this server")
	}
	if missing := lacking(v); len(missing) > 0 {
		return warning(check, "upgrade Redis; a distribution's package may have the fixes under the old number (its changelog tells)",
			"by its number, %s lacks the fixes of %s: who may run commands there may take it over, likes included", v, strings.Join(missing, ", "))
	}
	return ok(check, "%s has the fixes of all known faults that matter here", v)
}

func (e *exam) redisWrites() Finding {
	if err := e.facts.Refuses(); err != nil {
		return wrong("redis.writes", "point --redis-url at a primary that can write, or free its disk", "%v: likes go straight to Postgres, or are refused", err)
	}
	return ok("redis.writes", "a primary that takes writes")
}

// promise says the same as /readyz.
func (e *exam) promise() Finding {
	const check = "redis.promise"
	words, risk := e.facts.Promise()
	switch risk {
	case stores.NoRisk:
		return ok(check, "%s", words)
	case stores.LastSecond:
		return warning(check, "CONFIG SET appendfsync always (batching makes it cheap), and the same in redis.conf", "%s", words)
	case stores.RiskUnknown:
		return warning(check, "look at the server by hand: appendonly yes and appendfsync always are what keeps acknowledged likes", "%s", words)
	}
	return wrong(check, "CONFIG SET maxmemory-policy noeviction, CONFIG SET appendonly yes, CONFIG SET appendfsync always, and the same in redis.conf", "%s", words)
}

func (e *exam) eviction() (Finding, bool) {
	const check = "redis.eviction"
	switch p := e.facts.Info["maxmemory_policy"]; p {
	case "noeviction":
		return ok(check, "maxmemory-policy noeviction: Redis never drops likes by itself"), true
	case "":
		return warning(check, "make sure that maxmemory-policy is noeviction", "maxmemory-policy is not told"), true
	default:
		return wrong(check, "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
			"maxmemory-policy %s: when memory is full Redis drops sets, counts and logs, and with them likes", p), true
	}
}

// memory compares the server's limits with the janitor's bound.
func (e *exam) memory() (Finding, bool) {
	const check = "redis.memory"
	limit, machine, used := e.number("maxmemory"), e.number("total_system_memory"), e.number("used_memory")
	if limit < 0 || used < 0 {
		return Finding{}, false
	}
	bound := counter.Memory{Used: used, Max: limit}.Bound(e.ResidentMaxBytes)
	now := fmt.Sprintf("%s used, bound %s, maxmemory %s", mib(used), mib(bound), mib(limit))
	switch {
	case limit > 0 && bound > limit:
		return wrong(check, "raise maxmemory, or lower --resident-max-bytes below 80 % of it",
			"%s: Redis refuses likes before the janitor makes room", now), true
	case limit > 0 && bound > limit/10*8:
		return warning(check, "raise maxmemory, or lower --resident-max-bytes below 80 % of it",
			"%s: little room is left for logs and for loading of items", now), true
	case limit == 0 && machine > 0 && bound > machine/10*8:
		return wrong(check, "set maxmemory, and --resident-max-bytes below 80 % of it",
			"%s, and the machine has %s: it runs out of memory first", now, mib(machine)), true
	case used > bound:
		return warning(check, "raise --resident-max-bytes, and maxmemory with it; see that a reconciler runs",
			"%s: the janitor cannot keep the bound, items are loaded again and again", now), true
	case limit == 0:
		return warning(check, "set maxmemory, well above the bound", "%s (none): nothing but the machine's memory ends its growth", now), true
	}
	return ok(check, "%s", now), true
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// overcommit can be seen when Redis runs on this machine.
func (e *exam) overcommit() (Finding, bool) {
	const check, fix = "redis.overcommit", "sysctl vm.overcommit_memory=1 on the machine of Redis"
	if !isHere(e.redis.Addr()) {
		return Finding{}, false
	}
	b, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	if err != nil {
		return Finding{}, false
	}
	if setting := strings.TrimSpace(string(b)); setting != "1" {
		return warning(check, fix, "vm.overcommit_memory is %s: a rewrite of the append-only file may fail for lack of memory, and the file grows until it succeeds", setting), true
	}
	return ok(check, "vm.overcommit_memory is 1: the append-only file can be rewritten"), true
}

// isHere reports whether an address is on this machine for sure.
func isHere(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func (e *exam) rewrite() (Finding, bool) {
	const check = "redis.rewrite"
	switch e.facts.Config["no-appendfsync-on-rewrite"] {
	case "yes":
		return warning(check, "CONFIG SET no-appendfsync-on-rewrite no, and the same in redis.conf",
			"no-appendfsync-on-rewrite yes: a power loss during a rewrite may cost the likes since its beginning"), true
	case "no":
		return ok(check, "the append-only file is synced during rewrites, too"), true
	}
	return Finding{}, false
}

func (e *exam) lastSaves() (Finding, bool) {
	const check, fix = "redis.saves", "free its disk and look into its log; then BGREWRITEAOF, or BGSAVE"
	info := e.facts.Info
	for _, field := range []string{"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"} {
		switch s := info[field]; {
		case s == "":
			return Finding{}, false
		case s != "ok":
			return warning(check, fix, "%s is %s: its disk may be full; it will refuse likes, or start with old data", field, s), true
		}
	}
	return ok(check, "its last writes, rewrite and snapshot succeeded"), true
}

// clientsWanted is how many connections one plusone serve may open: four pools
// of ten per core on a machine of 16.
const clientsWanted = 640

func (e *exam) clients() (Finding, bool) {
	limit, used := e.number("maxclients"), e.number("connected_clients")
	if limit < 0 || used < 0 {
		return Finding{}, false
	}
	if limit-used < clientsWanted {
		return warning("redis.clients", "CONFIG SET maxclients 10000, and the same in redis.conf",
			"%d of maxclients %d are connected; a busy process may want %d: those beyond are refused, and likes with them", used, limit, clientsWanted), true
	}
	return ok("redis.clients", "%d of maxclients %d are connected", used, limit), true
}

// idleTimeout: go-redis drops what is idle for 30 minutes by itself.
func (e *exam) idleTimeout() (Finding, bool) {
	seconds, err := strconv.Atoi(e.facts.Config["timeout"])
	if err != nil {
		return Finding{}, false
	}
	if seconds > 0 && seconds <= 1800 {
		return warning("redis.timeout", "CONFIG SET timeout 0, and the same in redis.conf",
			"timeout %d: Redis closes idle connections, and a like that is just being sent over one answers 503", seconds), true
	}
	return ok("redis.timeout", "idle connections stay open"), true
}

// intsetsWanted is up to how many members a set of whole numbers is kept as such: 8
// bytes a like instead of 56, and as fast. A set that outgrows it is rebuilt in one
// go, which takes longer the larger it is.
const intsetsWanted = 4096

// intsets is no fault, since only those gain whose user ids are numbers.
func (e *exam) intsets() (Finding, bool) {
	const check = "redis.intsets"
	most, err := strconv.Atoi(e.facts.Config["set-max-intset-entries"])
	switch {
	case err != nil:
		return Finding{}, false
	case most < intsetsWanted:
		return ok(check, "set-max-intset-entries %d; where user ids are whole numbers, %d saves memory: 8 bytes a like instead of 56 up to that many likers",
			most, intsetsWanted), true
	}
	return ok(check, "sets of whole numbers stay small up to %d members", most), true
}

func (e *exam) hidden() (Finding, bool) {
	if e.facts.Hidden == nil {
		return Finding{}, false
	}
	return warning("redis.config", "in the provider's console: appendfsync always, no-appendfsync-on-rewrite no, timeout 0",
		"CONFIG is not allowed here, so some settings could not be looked at: %v", e.facts.Hidden), true
}
