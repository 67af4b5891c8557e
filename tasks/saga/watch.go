package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"plusone/tasks/ledger"
)

const (
	watchEvery = 5 * time.Second
	pruneEvery = time.Hour
	gaugeMost  = 100_000 // open sagas are counted up to here
	alertMost  = 20      // stuck sagas that one alert names
)

// watch looks at what no lane does: what waits for a participant that is not set
// any more, what is stuck, and what is old.
func (e *Engine) watch(ctx context.Context) {
	var ill bool
	var pruned time.Time
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		e.report(ctx, "watch", e.look(ctx, &pruned), &ill)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (e *Engine) look(ctx context.Context, pruned *time.Time) error {
	errs := []error{e.gauge(ctx), e.strangers(ctx), e.Alert(ctx)}
	if time.Since(*pruned) >= pruneEvery {
		*pruned = time.Now()
		_, err := e.records.PruneSagas(ctx, e.cfg.Keep)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *Engine) gauge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	g, err := e.records.SagaGauge(ctx, gaugeMost)
	if err == nil {
		e.metrics.gauge(g)
	}
	return err
}

// strangers gives the sagas of a participant that is not set any more their
// attempts, so that patience, and the limit of compensations, end them.
func (e *Engine) strangers(ctx context.Context) error {
	known := make([]string, len(e.lanes))
	for i, l := range e.lanes {
		known[i] = l.name
	}
	name, err := e.records.SagaStranger(ctx, known)
	if err != nil || name == "" {
		return err
	}
	_, err = e.Turn(ctx, name)
	return err
}

// alert is what the alert's receiver gets. It names no user.
type alert struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Sagas []stuckSaga `json:"sagas"`
	} `json:"data"`
}

type stuckSaga struct {
	Saga        string `json:"saga"`
	Item        string `json:"item"`
	Participant string `json:"participant"`
	Error       string `json:"error"`
}

// Alert tells of sagas that got stuck, each once, and again until the receiver has
// answered 2xx.
func (e *Engine) Alert(ctx context.Context) error {
	if e.cfg.Alert == nil {
		return nil
	}
	stuck, err := e.records.StuckUntold(ctx, alertMost)
	if err != nil || len(stuck) == 0 {
		return err
	}
	m := alert{Type: "sagas.stuck", Timestamp: stuck[0].At.UTC()}
	ids := make([]string, len(stuck))
	for i, s := range stuck {
		ids[i] = s.ID
		m.Data.Sagas = append(m.Data.Sagas, stuckSaga{Saga: s.ID, Item: s.Item, Participant: s.WaitsFor, Error: s.LastError})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	status, _, err := e.cfg.Alert.Post(ctx, "alert_"+ids[0], body, maxAnswer)
	if err != nil {
		return fmt.Errorf("alert of stuck sagas: %w", err)
	}
	if status/100 != 2 {
		return fmt.Errorf("alert of stuck sagas: it answered %d", status)
	}
	return e.records.StuckTold(ctx, ids)
}

var _ Records = (*ledger.Ledger)(nil)
