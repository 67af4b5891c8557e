package main

import (
	"context"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/counter"
	"plusone/tasks"
	"plusone/tasks/saga"
)

// addSagas adds what asks participants, when there are any. What it takes back may
// have to be loaded by likes first.
func (p *process) addSagas(s settings.Sagas, alertPrivate bool, likes *counter.Counter) error {
	if err := s.Contradiction(p.tuning.Participants); err != nil {
		return usage("%w", err)
	}
	if len(p.tuning.Participants) == 0 {
		return nil
	}
	cfg := saga.Config{
		Timeout: s.ParticipantTimeout, ResumeAfter: s.SagaResumeAfter, Patience: s.SagaPatience,
		Window: p.tuning.WebhookWindow, Keep: s.SagaKeep, Quota: p.tuning.LikeQuota().IsOn(), Trail: p.trail,
	}
	for _, q := range p.tuning.Participants {
		cfg.Participants = append(cfg.Participants, saga.Participant{
			Name: q.Name, Receiver: tasks.Receiver{URL: q.URL, Secrets: s.ParticipantSecrets},
		})
	}
	if s.SagaAlertURL != "" {
		hook, err := tasks.NewHook(tasks.Receiver{URL: s.SagaAlertURL, Secrets: s.ParticipantSecrets}, s.ParticipantTimeout, alertPrivate)
		if err != nil {
			return usage("--saga-alert-url: %w", err)
		}
		cfg.Alert = hook
	}
	engine, err := saga.New(p.ledger, p.logs, likes, p.bell.Ring, p.registry, cfg)
	if err != nil {
		return usage("%w", err)
	}
	p.add("sagas", func(ctx context.Context) error {
		defer engine.Close()
		if cfg.Alert != nil {
			defer cfg.Alert.Close()
		}
		return engine.Run(ctx)
	})
	return nil
}
