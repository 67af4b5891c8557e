package main

import (
	"context"
	"fmt"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/counter"
	"plusone/tasks"
	"plusone/tasks/saga"
)

// addSagas adds what asks participants, when there are any. It has a counter of
// its own: what it takes back may have to be loaded first.
func (p *process) addSagas(s settings.Sagas, alertPrivate bool) error {
	if err := s.Contradiction(p.tuning.Participants); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if len(p.tuning.Participants) == 0 {
		return nil
	}
	cfg := saga.Config{
		Timeout: s.ParticipantTimeout, ResumeAfter: s.SagaResumeAfter, Patience: s.SagaPatience,
		Window: p.tuning.WebhookWindow, Keep: s.SagaKeep, Quota: p.tuning.LikeQuota().IsOn(),
	}
	for _, q := range p.tuning.Participants {
		cfg.Participants = append(cfg.Participants, saga.Participant{
			Name: q.Name, Receiver: tasks.Receiver{URL: q.URL, Secrets: s.ParticipantSecrets},
		})
	}
	if s.SagaAlertURL != "" {
		hook, err := tasks.NewHook(tasks.Receiver{URL: s.SagaAlertURL, Secrets: s.ParticipantSecrets}, s.ParticipantTimeout, alertPrivate)
		if err != nil {
			return fmt.Errorf("%w: --saga-alert-url: %w", errUsage, err)
		}
		cfg.Alert = hook
	}
	likes, err := counter.New(p.redis.Universal(), p.ledger, counter.Options{
		Fence: p.fence, Shards: p.layout.Shards, ResidentSetMax: int(p.tuning.ResidentSetMax), MemoryMax: p.tuning.ResidentMaxBytes,
		Changed: func(shard int) { p.bell.Ring(shard) },
	})
	if err != nil {
		return err
	}
	engine, err := saga.New(p.ledger, p.logs, likes, p.bell.Ring, p.registry, cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	p.add("saga counter", func(ctx context.Context) error { return untilAsked(ctx, likes.Close) })
	p.add("sagas", func(ctx context.Context) error {
		defer engine.Close()
		if cfg.Alert != nil {
			defer cfg.Alert.Close()
		}
		return engine.Run(ctx)
	})
	return nil
}
