package console

import (
	"context"
	"net/http"

	"plusone/tasks/ledger"
)

// sagasView is a page of sagas.
type sagasView struct {
	Filter ledger.SagaFilter
	States []string
	Sagas  []ledger.SagaView
	Next   string // the address of the next page, "" when there is none
}

func (c *Console) sagas(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	v := sagasView{
		Filter: ledger.SagaFilter{
			State: q.Get("state"), Item: q.Get("item"), User: q.Get("user"), Participant: q.Get("participant"), After: q.Get("after"), Limit: rowsPage + 1,
		},
		States: []string{ledger.SagaStuck, ledger.SagaPending, ledger.SagaCompensating, ledger.SagaDone, ledger.SagaCompensated},
	}
	found, err := c.opt.Ledger.Sagas(ctx, v.Filter)
	if err != nil {
		return nil, err
	}
	found, v.Next = pageOf(r, found, "after", func(s ledger.SagaRecord) string { return s.ID })
	v.Sagas = ledger.ShowSagas(found)
	return v, nil
}

func (c *Console) saga(ctx context.Context, r *http.Request) (any, error) {
	record, acts, err := c.opt.Ledger.Saga(ctx, r.FormValue("id"))
	if err != nil {
		return nil, err
	}
	return ledger.ShowSaga(record, acts), nil
}
