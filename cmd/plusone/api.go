package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/api"
	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// apiSettings is what the API reads beside the stores.
type apiSettings struct {
	settings.HTTP   `group:"Public listener"`
	settings.Auth   `group:"Identity"`
	settings.Limits `group:"Limits"`
	settings.Rates  `group:"Rate limits"`
}

type apiCmd struct {
	settings.Stores   `group:"Stores"`
	settings.Internal `group:"Internal listener"`
	apiSettings
}

// Run serves the API until ctx ends.
func (c apiCmd) Run(ctx context.Context, log *slog.Logger, again *reload) error {
	return serve(ctx, log, again, "api", c.Stores, c.Internal, func(p *process) error { return p.addAPI(ctx, c.apiSettings) })
}

// serve opens the stores, lets add choose the parts, and runs them.
func serve(ctx context.Context, log *slog.Logger, again *reload, role string, s settings.Stores, o settings.Internal, add func(*process) error) (err error) {
	defer func() { err = served(ctx, err) }()
	again.hear()
	p, err := open(ctx, log, s, role)
	if err != nil {
		return err
	}
	defer p.close()
	inside, err := listenInside(o)
	if err != nil {
		return err
	}
	p.runsWith(again, s, o)
	p.add("log level", again.run)
	if err := add(p); err != nil {
		return errors.Join(err, inside.Close())
	}
	log.InfoContext(ctx, "inside", "url", "http://"+inside.Addr().String())
	return p.run(ctx, inside, o)
}

// addAPI opens the public listener and adds the API on it.
func (p *process) addAPI(ctx context.Context, s apiSettings) error {
	l, err := listen("listen", s.Listen)
	if err != nil {
		return err
	}
	p.log.InfoContext(ctx, "API", "url", "http://"+l.Addr().String())
	return p.addAPIOn(ctx, l, s, nil)
}

// addAPIOn adds counter and API on l: the API ends first, having answered what
// it accepted, then the counter. What beside answers is on l, too.
func (p *process) addAPIOn(ctx context.Context, l net.Listener, s apiSettings, beside api.Beside) error {
	p.exam.HTTP, p.exam.Auth, p.exam.Limits, p.exam.Rates = s.HTTP, s.Auth, s.Limits, s.Rates
	identity, err := p.newIdentity(ctx, s.Auth)
	if err != nil {
		return err
	}
	limits, err := p.addLimits(s.Rates)
	if err != nil {
		return err
	}
	p.direct = true
	p.fence.MayGoDirect()
	p.addReturner()
	likes, err := counter.New(p.redis.Universal(), p.ledger, counter.Options{
		Fence: p.fence, Quota: p.tuning.LikeQuota(),
		Direct: ledger.NewDirect(p.ledger, ledger.DirectOptions{
			Shards: p.layout.Shards, Bucket: counter.Bucket, Window: p.tuning.WebhookWindow,
		}),
		Shards: p.layout.Shards, MaxPending: s.MaxPending, QueueSize: s.QueueSize,
		ResidentSetMax: int(p.tuning.ResidentSetMax), MemoryMax: p.tuning.ResidentMaxBytes,
		Changed: func(shard int) { p.bell.Changed(shard) }, Metrics: p.registry,
	})
	if err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := likes.Ready(ready); err != nil {
		p.log.WarnContext(ctx, "the first likes will have to wait for the stores", "error", err)
	}
	server, err := api.New(api.Options{
		Counter: likes, Lists: p.ledger, Receipts: p.ledger, Notifications: p.ledger,
		Identity: identity, Limits: limits, Beside: beside, Quota: p.tuning.LikeQuota(), CursorSecret: p.layout.Secret, Log: p.log, Metrics: p.registry,
		Tracer: p.tracer, Trail: p.logs,
		OpTimeout: s.OpTimeout, ReadTimeout: s.ReadTimeout, WriteTimeout: s.WriteTimeout, IdleTimeout: s.IdleTimeout,
		MaxBody: s.MaxBody, MaxHeader: s.MaxHeader, MaxConns: s.MaxConns, MaxInFlight: s.MaxInFlight, MaxStreams: s.MaxStreams, StreamEvery: s.StreamEvery,
	})
	if err != nil {
		return err
	}
	p.checkLogs(s.MaxPending)
	p.add("counter", func(ctx context.Context) error {
		defer identity.Close()
		return untilAsked(ctx, likes.Close)
	})
	p.add("API", func(ctx context.Context) error {
		failed := make(chan error, 1) // one value, from the goroutine below
		go func() { failed <- server.Serve(l) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		err := untilAsked(ctx, server.Shutdown)
		return errors.Join(err, <-failed)
	})
	return nil
}

// newIdentity is who may speak for whom; its keys are read.
func (p *process) newIdentity(ctx context.Context, s settings.Auth) (*api.Identity, error) {
	if err := s.Contradiction(); err != nil {
		return nil, usage("%w", err)
	}
	identity, err := api.NewIdentity(ctx, api.IdentityOptions{
		Auth: s.Auth, TrustedProxies: s.TrustedProxies, ServerKeys: s.ServerKeys,
		HMACSecretFile: s.JWTSecretFile, PublicKeyFile: s.JWTPublicKeyFile, JWKSFile: s.JWKSFile, JWKSURL: s.JWKSURL,
		Algorithms: s.JWTAlgorithms, Issuer: s.JWTIssuer, Audience: s.JWTAudience, Origins: s.CORSOrigins,
		CookieSecret: p.layout.Secret, Log: p.log,
	})
	if err != nil {
		return nil, usage("%w", err)
	}
	return identity, nil
}

// addLimits adds what compares rate limits with the other processes; nil when
// nothing is limited.
func (p *process) addLimits(s settings.Rates) (*api.Limits, error) {
	limits, err := api.NewLimits(api.LimitOptions{
		User: api.Limit{Rate: s.UserRate, Burst: s.UserBurst}, Address: api.Limit{Rate: s.AddressRate, Burst: s.AddressBurst},
		Shared: counter.NewRates(p.redis.Client(), p.layout.Shards), Secret: p.layout.Secret, Log: p.log,
	})
	if err != nil {
		return nil, usage("%w", err)
	}
	if limits != nil {
		p.add("rate limits", limits.Run)
	}
	return limits, nil
}

// readyTime bounds the look at Redis and the ledger before the first op.
const readyTime = 5 * time.Second

// untilAsked waits until ctx ends and then lets end finish within endTime.
func untilAsked(ctx context.Context, end func(context.Context) error) error {
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return end(ending)
}
