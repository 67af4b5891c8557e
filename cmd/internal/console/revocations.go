package console

import (
	"context"
	"net/http"

	"plusone/tasks/ledger"
)

// revocationsView is a page of revocations, the newest first.
type revocationsView struct {
	Revocations []ledger.Revocation
	Next        string
}

func (c *Console) revocations(ctx context.Context, r *http.Request) (any, error) {
	var v revocationsView
	found, err := c.opt.Ledger.Revocations(ctx, r.FormValue("before"), rowsPage+1)
	v.Revocations, v.Next = pageOf(r, found, "before", func(x ledger.Revocation) string { return x.ID })
	return v, err
}

// revocationView is one of them, and how far it is.
type revocationView struct {
	ledger.Revocation
	Part, Of int64 // what was done of what there is to do
}

func (c *Console) revocation(ctx context.Context, r *http.Request) (any, error) {
	found, err := c.opt.Ledger.Revocation(ctx, r.FormValue("id"))
	v := revocationView{Revocation: found, Part: found.Taken, Of: max(found.Expected, found.Taken)}
	if found.State == ledger.RevocationUndoing || found.State == ledger.RevocationUndone {
		v.Part, v.Of = found.Returned+found.Kept, found.Taken
	}
	return v, err
}
