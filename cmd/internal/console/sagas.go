package console

import (
	"context"
	"net/http"
	"net/url"

	"plusone/tasks/ledger"
)

// rowsPage is how many rows a page of a list has.
const rowsPage = 50

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
	if len(found) > rowsPage {
		found = found[:rowsPage]
		v.Next = nextPage(r, "after", found[rowsPage-1].ID)
	}
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

// nextPage is the address of the same list from another place on.
func nextPage(r *http.Request, key, value string) string {
	q := url.Values{}
	for name, values := range r.URL.Query() {
		if name != "done" {
			q[name] = values
		}
	}
	q.Set(key, value)
	return r.URL.Path + "?" + q.Encode()
}
