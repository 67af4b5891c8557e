package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hibiken/asynq"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/counter"
	"plusone/tasks"
	"plusone/tasks/operator"
)

// workerSettings is what the worker reads beside the stores.
type workerSettings struct {
	settings.Worker `group:"Worker"`
	settings.Notify `group:"Notifications"`
	settings.Sagas  `group:"Participants"`
}

type workerCmd struct {
	settings.Stores   `group:"Stores"`
	settings.Internal `group:"Internal listener"`
	workerSettings
}

// Run works until ctx ends.
func (c workerCmd) Run(ctx context.Context, log *slog.Logger, again *reload) error {
	return serve(ctx, log, again, "worker", c.Stores, c.Internal, func(p *process) error { return p.addWorker(c.workerSettings) })
}

// addWorker adds the notifier, what carries out operators' wishes, the sweeper, the worker, and what moves the rest
// of the logs at the end.
func (p *process) addWorker(s workerSettings) error {
	p.exam.Worker, p.exam.Notify, p.exam.Sagas = s.Worker, s.Notify, s.Sagas
	notifier, err := p.newNotifier(s)
	if err != nil {
		return err
	}
	likes, err := p.addLoader()
	if err != nil {
		return err
	}
	if err := p.addSagas(s.Sagas, s.WebhookAllowPrivate, likes); err != nil {
		return err
	}
	p.add("operator", operator.New(p.ledger, p.logs, likes, p.bell.Ring, operator.Config{Rate: s.RevokeRate, Keep: s.RevokeKeep}).Run)
	drainer := tasks.NewDrainer(p.logs, p.ledger, p.tuning.WebhookWindow, p.registry).Along(p.trail)
	worker := tasks.NewServer(p.redis.Client(), drainer, p.bell, tasks.ServerOptions{
		Concurrency: s.WorkerConcurrency, ShutdownTimeout: endTime, Notify: asynq.HandlerFunc(notifier.HandleNotify),
	})
	p.add("notifier", func(ctx context.Context) error {
		defer notifier.Close()
		return notifier.Run(ctx)
	})
	p.add("sweeper", tasks.NewSweeper(p.logs, p.ledger, p.bell, p.registry).Run)
	p.add("worker", worker.Run)
	p.add("last drain", func(ctx context.Context) error {
		return untilAsked(ctx, func(ctx context.Context) error {
			p.drainAll(ctx, drainer)
			return nil
		})
	})
	return nil
}

// newNotifier is what tells receivers.
func (p *process) newNotifier(s workerSettings) (*tasks.Notifier, error) {
	if s.WorkerConcurrency < 2 {
		return nil, usage("--worker-concurrency must be at least 2")
	}
	if s.RevokeRate < 1 {
		return nil, usage("--revoke-rate must be at least 1")
	}
	if err := s.Notify.Contradiction(); err != nil {
		return nil, usage("%w", err)
	}
	// Receivers that hang must leave workers to the drains.
	s.WebhookConcurrency = min(s.WebhookConcurrency, s.WorkerConcurrency/2)
	notifier, err := tasks.NewNotifier(p.ledger, p.queue, p.registry, p.notifyConfig(s.Notify))
	if err != nil {
		return nil, usage("%w", err)
	}
	return notifier, nil
}

// addLoader adds a counter that loads items which are to be changed by others than
// users.
func (p *process) addLoader() (*counter.Counter, error) {
	likes, err := counter.New(p.redis.Universal(), p.ledger, counter.Options{
		Fence: p.fence, Shards: p.layout.Shards, ResidentSetMax: int(p.tuning.ResidentSetMax), MemoryMax: p.tuning.ResidentMaxBytes,
		Changed: func(shard int) { p.bell.Ring(shard) },
	})
	if err == nil {
		p.add("loader", func(ctx context.Context) error { return untilAsked(ctx, likes.Close) })
	}
	return likes, err
}

// drainAll moves what is left in the logs. What it cannot move stays there for
// the next worker, so an error is only worth a line.
func (p *process) drainAll(ctx context.Context, d *tasks.Drainer) {
	var errs []error
	for shard := range p.layout.Shards {
		err := d.Drain(ctx, shard)
		if errors.Is(err, tasks.ErrUnfinished) { // another process goes on writing
			err = nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		p.log.WarnContext(ctx, "likes wait in the log for the next worker", "error", err)
	}
}

func (p *process) notifyConfig(s settings.Notify) tasks.NotifyConfig {
	receivers := make([]tasks.Receiver, len(s.WebhookURLs))
	for i, url := range s.WebhookURLs {
		receivers[i] = tasks.Receiver{URL: url, Secrets: s.WebhookSecrets}
	}
	return tasks.NotifyConfig{
		Receivers: receivers, Window: p.tuning.WebhookWindow, Ladder: s.WebhookLadder, Timeout: s.WebhookTimeout, Keep: s.WebhookKeep,
		Concurrency: s.WebhookConcurrency, AllowPrivate: s.WebhookAllowPrivate, Trail: p.trail,
	}
}
