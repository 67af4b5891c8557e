package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// rowsPage is how many rows a page of a list has.
const rowsPage = 50

// pageOf is what a page shows of what was found, one more than fits, and the address
// of the next one, "" when there is none. place is where that begins, for key.
func pageOf[T any](r *http.Request, found []T, key string, place func(T) string) (rows []T, next string) {
	if len(found) <= rowsPage {
		return found, ""
	}
	q := url.Values{}
	for name, values := range r.URL.Query() {
		if name != "done" {
			q[name] = values
		}
	}
	q.Set(key, place(found[rowsPage-1]))
	return found[:rowsPage], r.URL.Path + "?" + q.Encode()
}

// lettersView is a page of dead letters.
type lettersView struct {
	Filter  ledger.LetterFilter
	States  []string
	Letters []ledger.DeadLetter
	Next    string
}

func (c *Console) letters(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	v := lettersView{
		Filter: ledger.LetterFilter{
			State: q.Get("state"), Item: q.Get("item"), User: q.Get("user"), After: idOf(q.Get("after")), Limit: rowsPage + 1,
		},
		States: []string{ledger.LetterOpen, ledger.LetterRetrying, ledger.LetterRetried, ledger.LetterDropped},
	}
	found, err := c.opt.Ledger.DeadLetters(ctx, v.Filter)
	v.Letters, v.Next = pageOf(r, found, "after", func(d ledger.DeadLetter) string { return strconv.FormatInt(d.ID, 10) })
	return v, err
}

func (c *Console) letter(ctx context.Context, r *http.Request) (any, error) {
	return c.opt.Ledger.DeadLetter(ctx, idOf(r.FormValue("id")))
}

// idOf reads a number; what is none is 0, which nothing has.
func idOf(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// repairsView is a page of the reconciler's findings.
type repairsView struct {
	Item, User, Since string
	Spans             []string
	Repairs           []ledger.RepairView
	Next              string
}

func (c *Console) repairs(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	v := repairsView{Item: q.Get("item"), User: q.Get("user"), Since: q.Get("since"), Spans: []string{"1h", "24h", "168h"}}
	f := ledger.RepairFilter{Item: v.Item, User: v.User, Before: idOf(q.Get("before")), Limit: rowsPage + 1}
	if d, err := time.ParseDuration(v.Since); err == nil {
		f.Since = time.Now().Add(-d)
	}
	found, err := c.opt.Ledger.Repairs(ctx, f)
	v.Repairs, v.Next = pageOf(r, found, "before", func(d ledger.RepairView) string { return strconv.FormatInt(d.ID, 10) })
	return v, err
}

// frozenView is a page of the items that take no new likes.
type frozenView struct {
	Items []ledger.FrozenItem
	Next  string
}

func (c *Console) frozen(ctx context.Context, r *http.Request) (any, error) {
	var v frozenView
	found, err := c.opt.Ledger.FrozenItems(ctx, r.FormValue("after"), rowsPage+1)
	v.Items, v.Next = pageOf(r, found, "after", func(i ledger.FrozenItem) string { return i.Item })
	return v, err
}

// notesView is a page of notifications.
type notesView struct {
	State  string
	States []string
	Notes  []like.Notification
	Next   string
}

func (c *Console) notifications(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	v := notesView{State: q.Get("state"), States: []string{"pending", "delivered", "exhausted"}}
	found, err := c.opt.Ledger.LatestNotifications(ctx, v.State, idOf(q.Get("before")), rowsPage+1)
	v.Notes, v.Next = pageOf(r, found, "before", func(n like.Notification) string { return strconv.FormatInt(n.Seq, 10) })
	return v, err
}

func (c *Console) notification(ctx context.Context, r *http.Request) (any, error) {
	return c.opt.Ledger.Notification(ctx, idOf(r.FormValue("id")))
}
