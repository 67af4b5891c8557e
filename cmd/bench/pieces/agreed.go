package pieces

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/bench/baseline"
	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// unagreed is how many likes may wait for participants before the load is held.
const unagreed = 2_000

// agreed is API and worker with n participants: what is accepted is persisted, and
// agreed to by all of them.
func agreed(n int) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (f Figures, err error) {
		return l.on(ctx, stage.Needs{Redis: "everysec", Postgres: true}, func(s *stage.Stage) (Figures, error) {
			asked, err := s.Baseline(ctx, "participants")
			if err != nil {
				return f, err
			}
			var args []string
			for _, name := range baseline.Participants[:n] {
				args = append(args, "--participant", fmt.Sprintf("%s=http://%s/%s", name, asked.Addr, name))
			}
			api, err := s.Plusone(ctx, "api", args...)
			if err != nil {
				return f, err
			}
			if _, err := s.Plusone(ctx, "worker", append(args, "--participant-secret", baseline.ParticipantSecret)...); err != nil {
				return f, err
			}
			plan := l.plan(api.Addr, load.Put)
			plan.Warm = l.time() / 2
			w := &watcher{stage: s, api: api, every: quickly, bound: unagreed, persisted: s.Agreed}
			res, f, err := drive(ctx, w, plan)
			if err != nil {
				return f, err
			}
			w.sustain(&f)
			f.Counted, err = l.agreement(ctx, s, res)
			return f, err
		})
	}
}

// agreement waits for the worker and the participants, and compares all books.
func (l *Lab) agreement(ctx context.Context, s *stage.Stage, res load.Result) (string, error) {
	told, err := l.settled(ctx, s, res)
	if err != nil {
		return told, err
	}
	ctx, cancel := context.WithTimeout(ctx, stageTime)
	defer cancel()
	for {
		open, err := s.OpenSagas(ctx)
		if err != nil {
			return told, err
		}
		if open == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return told, fmt.Errorf("%d likes wait for participants: %w", open, ctx.Err())
		case <-time.After(sampling):
		}
	}
	rows, err := s.Rows(ctx)
	if err != nil {
		return told, err
	}
	var books uint64
	err = s.Pool.QueryRow(ctx, `SELECT coalesce(sum(likes), 0)::bigint FROM articles`).Scan(&books)
	if err == nil && books != rows {
		err = fmt.Errorf("%w: the ledger has %d likes, the first participant %d", ErrWrong, rows, books)
	}
	return told + fmt.Sprintf("; participants: %d", books), err
}
