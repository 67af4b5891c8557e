package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"plusone/tasks"
	"plusone/tasks/ledger"
)

// What a call asks for.
const (
	stepTry        = "try"
	stepCompensate = "compensate"
)

// maxAnswer is how much of an answer is read: enough for the reasons of a batch.
const maxAnswer = 1 << 20

// request is what a participant gets.
type request struct {
	Step string `json:"step"`
	Ops  []op   `json:"ops"`
}

type op struct {
	Saga    string `json:"saga"`
	Key     string `json:"key"` // the same at every repeat of the step
	Item    string `json:"item"`
	User    string `json:"user"`
	Liked   bool   `json:"liked"` // what the user wants; a compensation gives that back
	Receipt string `json:"receipt"`
}

// response is what it answers, in any order.
type response struct {
	Results []struct {
		Saga   string `json:"saga"`
		Result string `json:"result"`
		Reason string `json:"reason"`
	} `json:"results"`
}

// call asks a participant for one step of many sagas. What it does not answer, or
// not in time, may have happened or not: those sagas are to be asked for again.
func (e *Engine) call(ctx context.Context, name, step string, sagas []ledger.ClaimedSaga) []ledger.StepResult {
	if len(sagas) == 0 {
		return nil
	}
	said, err := e.ask(ctx, name, step, sagas)
	results := make([]ledger.StepResult, len(sagas))
	for i, s := range sagas {
		r := ledger.StepResult{Saga: s, Result: ledger.StepRetry, Pause: pause(firstPause, longPause, s.Attempts)}
		switch answer, ok := said[s.ID]; {
		case err != nil:
			r.Reason = err.Error()
		case !ok:
			r.Reason = "it did not answer for this one"
		case answer.result == ledger.StepDone, answer.result == ledger.StepRejected && step == stepTry:
			r.Result, r.Reason = answer.result, answer.reason
		case answer.result == ledger.StepRetry, answer.result == ledger.StepRejected:
			r.Reason = answer.result + ": " + answer.reason
		default:
			r.Reason = "it answered neither done nor rejected nor retry"
		}
		e.metrics.called(name, r.Result, err)
		results[i] = r
	}
	return results
}

type answer struct{ result, reason string }

func (e *Engine) ask(ctx context.Context, name, step string, sagas []ledger.ClaimedSaga) (map[string]answer, error) {
	to := e.asked[name]
	if to == nil {
		return nil, errors.New("no participant of this name is set")
	}
	body, err := json.Marshal(ask(name, step, sagas))
	if err != nil {
		return nil, err
	}
	ctx, ended := e.cfg.Trail.Tell(ctx, step, name, told(sagas))
	answers, err := to.ask(ctx, body)
	ended(err)
	to.report(ctx, name, err)
	return answers, err
}

// told is what a participant is asked about; a saga begins with its drain.
func told(sagas []ledger.ClaimedSaga) []tasks.Told {
	of := make([]tasks.Told, len(sagas))
	for i, s := range sagas {
		of[i] = tasks.Told{Item: s.Item, From: s.MadeAt, To: s.MadeAt}
	}
	return of
}

// asked is a participant, and whether its last call went well.
type asked struct {
	*tasks.Hook
	ill atomic.Bool
}

// report logs where trouble begins and where it ends, not every call of it.
func (a *asked) report(ctx context.Context, name string, err error) {
	switch was := a.ill.Swap(err != nil); {
	case ctx.Err() != nil || was == (err != nil):
	case err != nil:
		slog.WarnContext(ctx, "a participant does not answer as it should", "participant", name, "error", err)
	default:
		slog.InfoContext(ctx, "a participant answers again", "participant", name)
	}
}

func (a *asked) ask(ctx context.Context, body []byte) (map[string]answer, error) {
	mark := sha256.Sum256(body)
	status, text, err := a.Post(ctx, "call_"+hex.EncodeToString(mark[:16]), body, maxAnswer)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("it answered %d", status)
	}
	var said response
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, errors.New("its answer is not the JSON that was asked for")
	}
	answers := make(map[string]answer, len(said.Results))
	for _, r := range said.Results {
		answers[r.Saga] = answer{r.Result, r.Reason}
	}
	return answers, nil
}

func ask(name, step string, sagas []ledger.ClaimedSaga) request {
	r := request{Step: step, Ops: make([]op, len(sagas))}
	for i, s := range sagas {
		r.Ops[i] = op{
			Saga: s.ID, Key: s.ID + ":" + name + ":" + step, Item: s.Item, User: s.User, Liked: s.Liked, Receipt: s.Receipt().String(),
		}
	}
	return r
}
