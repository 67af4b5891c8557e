package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// revokeMost is how many users a form may name.
const revokeMost = 10_000

// revokeView is a revocation that somebody wants, and what it would take.
type revokeView struct {
	Users, Items string // one a line, as they were given
	Reason       string
	Look         ledger.RevocationLook
	Missing      string
}

// revoke looks at what a revocation would take, and begins it when that was seen.
func (c *Console) revoke(w http.ResponseWriter, r *http.Request) {
	is, ok := c.mayAct(w, r)
	if !ok {
		return
	}
	v := revokeView{Users: r.PostFormValue("users"), Items: r.PostFormValue("items"), Reason: strings.TrimSpace(r.PostFormValue("reason"))}
	users, items := strings.Fields(v.Users), strings.Fields(v.Items)
	if err := checkIDs(users, items); err != nil {
		c.failed(w, r, err)
		return
	}
	if len(users) == 0 || len(users) > revokeMost {
		c.fail(w, r, http.StatusUnprocessableEntity, "Name one to 10,000 users", "For more use plusone revoke with --users-file.")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTime)
	defer cancel()
	looked := r.PostFormValue("looked") != ""
	if looked && v.Reason != "" {
		id, err := c.opt.Ledger.Revoke(ctx, users, items, is.by(v.Reason))
		if err != nil {
			c.failed(w, r, err)
			return
		}
		http.Redirect(w, r, "/console/revocation?id="+url.QueryEscape(id), http.StatusSeeOther)
		return
	}
	if looked {
		v.Missing = "Say why: it is kept with who and when."
	}
	var err error
	if v.Look, err = c.opt.Ledger.LookAtRevocation(ctx, users, items); err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "revoke", "Take back the likes of users", v)
}

func checkIDs(users, items []string) error {
	for _, u := range users {
		if err := like.CheckUser(u); err != nil {
			return err
		}
	}
	for _, i := range items {
		if err := like.CheckItem(i); err != nil {
			return err
		}
	}
	return nil
}
