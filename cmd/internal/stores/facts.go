package stores

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Facts is what a Redis server tells of itself. What it does not tell is
// missing: managed ones often refuse CONFIG.
type Facts struct {
	Info   map[string]string // the fields of INFO
	Config map[string]string // those of configNames that CONFIG GET shows
	Hidden error             // why Config is empty
}

// configNames are the settings that INFO does not show and that matter to likes.
var configNames = []string{"appendfsync", "no-appendfsync-on-rewrite", "save", "stop-writes-on-bgsave-error", "timeout", "protected-mode", "bind", "set-max-intset-entries"}

// Facts asks the server. The error is that it does not answer, or not to us. A
// server that refuses writes may answer PING with that, so INFO comes first.
func (r *Redis) Facts(ctx context.Context) (Facts, error) {
	f := Facts{Info: map[string]string{}, Config: map[string]string{}}
	text, err := r.client.Info(ctx).Result()
	if isReply(err) {
		err = r.client.Ping(ctx).Err()
	}
	if err != nil {
		return Facts{}, err
	}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, v, ok := strings.Cut(lines.Text(), ":"); ok {
			f.Info[name] = v
		}
	}
	return f, r.config(ctx, &f)
}

// config asks for one name a command: more are understood from Redis 7 on only.
func (r *Redis) config(ctx context.Context, f *Facts) error {
	pipe := r.client.Pipeline()
	for _, name := range configNames {
		pipe.ConfigGet(ctx, name)
	}
	answers, err := pipe.Exec(ctx)
	if err != nil && !isReply(err) {
		return err
	}
	f.Hidden = err
	for _, a := range answers {
		if got, ok := a.(*redis.MapStringStringCmd); ok {
			for name, v := range got.Val() {
				f.Config[name] = v
			}
		}
	}
	return nil
}

// isReply reports whether the server did answer, by an error.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// Refuses is why the server takes no writes, nil when it takes them.
func (f Facts) Refuses() error {
	switch {
	case f.Info["loading"] == "1":
		return errors.New("it is loading its data")
	case f.Info["role"] == "slave":
		return fmt.Errorf("it is a replica, of %s:%s", f.Info["master_host"], f.Info["master_port"])
	case f.Info["cluster_enabled"] == "1":
		return errors.New("it is a node of a cluster, which plusone does not speak to yet")
	case f.Info["aof_enabled"] == "1" && f.Info["aof_last_write_status"] == "err":
		return errors.New("it cannot write its append-only file (is the disk full?)")
	case f.Info["rdb_last_bgsave_status"] == "err" && f.Config["stop-writes-on-bgsave-error"] == "yes" && f.Config["save"] != "":
		return errors.New("its last snapshot failed (is the disk full?) and stop-writes-on-bgsave-error is on")
	}
	return nil
}

// Risk is what may happen to acknowledged likes.
type Risk int

// The risks.
const (
	NoRisk      Risk = iota // they survive a crash and a power loss
	LastSecond              // a power loss may cost the last second of them
	RiskUnknown             // Redis does not say
	AllOfThem               // a crash or a full memory costs them
)

// Promise tells what an acknowledged like survives on this server.
func (f Facts) Promise() (string, Risk) {
	if p := f.Info["maxmemory_policy"]; p != "" && p != "noeviction" {
		return "UNSAFE: maxmemory-policy " + p + " lets it drop likes when its memory is full", AllOfThem
	}
	switch f.Info["aof_enabled"] {
	case "1":
	case "0":
		return "appendonly no: a crash of Redis loses acknowledged likes", AllOfThem
	default:
		return "persistence unknown: count on acknowledged likes ending with this Redis", RiskUnknown
	}
	switch sync := f.Config["appendfsync"]; sync {
	case "":
		return "appendonly yes, appendfsync unknown (CONFIG is not allowed)", RiskUnknown
	case "always":
		return "appendonly yes, appendfsync always: acknowledged likes survive a crash and a power loss", NoRisk
	case "everysec":
		return "appendonly yes, appendfsync everysec: a power loss may cost the likes of the last second", LastSecond
	default:
		return "appendonly yes, appendfsync " + sync + ": a power loss may cost the likes of half a minute", AllOfThem
	}
}
