package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"plusone/tasks/ledger"
)

// actTime bounds an act: a reconciler may have to wait for another one, and for a
// drain.
const actTime = 90 * time.Second

// wish is an act that somebody wants, as its form tells it.
type wish struct {
	Key, Kind, ID string
	Name, Says    string
	Reason        string
	Final         bool
	Place         string // the page of what it is done to
	Missing       string // what the form still lacks
}

// act does what a form asks for: the reason first, and for what can't be taken back
// the question whether it is meant.
func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	is, ok := c.mayAct(w, r)
	if !ok {
		return
	}
	v := wish{Key: r.PostFormValue("act"), ID: r.PostFormValue("id"), Reason: strings.TrimSpace(r.PostFormValue("reason"))}
	d, ok := deeds[v.Key]
	if !ok {
		c.fail(w, r, http.StatusNotFound, "There is no such act", "Go back and choose one of those that the page offers.")
		return
	}
	v.Kind, _, _ = strings.Cut(v.Key, "/")
	v.Name, v.Says, v.Final, v.Place = d.name, d.says, d.final, placeOf(v.Kind, v.ID)
	sure := r.PostFormValue("sure") == "yes"
	switch {
	case v.Reason == "":
		v.Missing = "Say why: it is kept with who and when."
	case d.final && !sure && r.PostFormValue("asked") != "":
		v.Missing = "Tick that you mean it."
	case !d.final || sure:
		c.do(w, r, d, v, is.by(v.Reason))
		return
	}
	status := http.StatusOK
	if v.Missing != "" {
		status = http.StatusUnprocessableEntity
	}
	c.render(w, r, status, "confirm", d.name, v)
}

func (c *Console) do(w http.ResponseWriter, r *http.Request, d deed, v wish, by ledger.By) {
	// It is not cut off by a browser that goes away: half of it may be done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTime)
	defer cancel()
	err := d.do(ctx, c, v.ID, by)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	mark := "&"
	if !strings.Contains(v.Place, "?") {
		mark = "?"
	}
	http.Redirect(w, r, v.Place+mark+"done="+url.QueryEscape(v.Key), http.StatusSeeOther)
}

// mayAct reads a form of somebody who has logged in; ok is false when it has answered.
func (c *Console) mayAct(w http.ResponseWriter, r *http.Request) (is session, ok bool) {
	is, ok = c.sessions.of(r)
	switch {
	case c.opt.Token == nil:
		c.readOnly(w, r)
	case !ok:
		c.toLogin(w, r)
	case !c.sessions.fromOwnForm(r, is):
		c.stale(w, r)
	default:
		return is, true
	}
	return is, false
}

// by is who acts, and why, as it is kept.
func (s session) by(reason string) ledger.By {
	return ledger.By{Who: strings.TrimSpace("console " + s.who), Reason: reason}
}

func (c *Console) readOnly(w http.ResponseWriter, r *http.Request) {
	c.fail(w, r, http.StatusForbidden, "Nothing can be changed here",
		"This listener has no token to log in with. Set internal-token and start the process again, or use the command line.")
}

func (c *Console) stale(w http.ResponseWriter, r *http.Request) {
	c.fail(w, r, http.StatusForbidden, "This form is not of your session",
		"It was made before you logged in, or by somebody else. Nothing was done. Go back, load the page again, and repeat it.")
}
