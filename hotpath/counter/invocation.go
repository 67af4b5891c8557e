package counter

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// invocation is a script's call within a pipeline, whose memory is used again. What
// changes in its arguments from call to call is pointed to: one in an interface would be an
// allocation of its own.
type invocation struct {
	script *script
	args   []any
	cmd    *redis.StringSliceCmd // once it is sent
}

// invoke begins the arguments of a call.
func (i *invocation) invoke(s *script) []any {
	i.script = s
	return append(i.args[:0], "evalsha", &s.sha)
}

// spell is the command with all its arguments.
func (i *invocation) spell(ctx context.Context, args []any) *redis.StringSliceCmd {
	i.args, i.cmd = args, redis.NewStringSliceCmd(ctx, args...)
	i.cmd.SetFirstKeyPos(3)
	return i.cmd
}

// withText is the command for a server that does not know the script.
func (i *invocation) withText(ctx context.Context) *redis.StringSliceCmd {
	i.args[0], i.args[1] = "eval", &i.script.text
	return i.spell(ctx, i.args)
}

// forget ends the call.
func (i *invocation) forget() {
	clear(i.args)
	i.args, i.cmd = i.args[:0], nil
}
