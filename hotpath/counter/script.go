package counter

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts"
)

// script is a Lua script and the name that Redis gives it.
type script struct{ text, sha string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see above
	return script{text: text, sha: hex.EncodeToString(sum[:])}
}

var (
	likeScript    = newScript(scripts.Like)
	readScript    = newScript(scripts.Read)
	openScript    = newScript(scripts.Open)
	checkScript   = newScript(scripts.Check)
	purgeScript   = newScript(scripts.Purge)
	rejoinScript  = newScript(scripts.Rejoin)
	leaseScript   = newScript(scripts.Lease)
	holdScript    = newScript(scripts.Hold)
	installScript = newScript(scripts.Install)
	trimScript    = newScript(scripts.Trim)
	undoScript    = newScript(scripts.Undo)
	retractScript = newScript(scripts.Retract)
	pinScript     = newScript(scripts.Pin)
	keepScript    = newScript(scripts.Keep)
	snapScript    = newScript(scripts.Snapshot)
	markScript    = newScript(scripts.Mark)
	mendScript    = newScript(scripts.Mend)
	evictScript   = newScript(scripts.Evict)
	eraseScript   = newScript(scripts.Erase)
	freezeScript  = newScript(scripts.Freeze)
	forgetScript  = newScript(scripts.Forget)
	learnScript   = newScript(scripts.Learn)
	weighScript   = newScript(scripts.Weigh)
	rateScript    = newScript(scripts.Rate)
	quotaScript   = newScript(scripts.Quota)
	giveScript    = newScript(scripts.GiveBack)
	voteScript    = newScript(scripts.Vote)
	unvoteScript  = newScript(scripts.Unvote)
	revoteScript  = newScript(scripts.Revote)
	tallyScript   = newScript(scripts.Tally)
	claimScript   = newScript(scripts.Claim)
	absorbScript  = newScript(scripts.Absorb)
	endScript     = newScript(scripts.Disclaim)
)

// run calls a script and, where Redis does not know it yet, sends its text.
// Not knowing it is an answer: nothing has run, so asking again is safe.
func (s script) run(ctx context.Context, rdb redis.Cmdable, keys []string, args ...any) *redis.Cmd {
	cmd := rdb.EvalSha(ctx, s.sha, keys, args...)
	if !unknownScript(cmd.Err()) {
		return cmd
	}
	return rdb.Eval(ctx, s.text, keys, args...)
}

func unknownScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// errNewServer is what a guarded connection says that meets a server which has
// not been looked at yet.
var errNewServer = errors.New("another redis server answers")

// sent tells what an error of a write means for the op: an answer from Redis,
// or a connection that never came up, says that nothing was applied; anything
// else leaves the outcome unknown.
func sent(err error) error {
	var reply redis.Error
	switch {
	case errors.As(err, &reply), errors.Is(err, errNewServer), neverSent(err):
		return fmt.Errorf("%w: redis: %w", like.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: redis: %w", like.ErrUnknown, err)
}

// neverSent reports whether the connection that was to carry the command never
// came up.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}
