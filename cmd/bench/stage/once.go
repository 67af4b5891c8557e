package stage

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// Said is what a command printed, and the CPU time it took.
type Said struct {
	Out []byte
	CPU time.Duration
}

// onceTime bounds a command of plusone.
const onceTime = 2 * time.Minute

// Once runs a command of plusone over the stage's stores to its end.
func (s *Stage) Once(ctx context.Context, args ...string) (Said, error) {
	ctx, cancel := context.WithTimeout(ctx, onceTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Hall.Plusone, append(args, "--redis-url", s.Redis.URL(), "--postgres-url", s.PostgresURL)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnv(), &out, &errs
	if err := cmd.Run(); err != nil {
		return Said{}, fmt.Errorf("plusone %s: %w: %s", args[0], err, errs.Bytes())
	}
	return Said{out.Bytes(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}
