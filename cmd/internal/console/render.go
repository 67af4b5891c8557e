package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

//go:embed html/*.html
var texts embed.FS

// templates are the pages by name, each within the layout.
var templates = func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(texts, "html/layout.html", "html/parts.html"))
	all := map[string]*template.Template{}
	files, _ := fs.Glob(texts, "html/*.html") // the pattern is right
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(f, "html/"), ".html")
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(texts, f))
	}
	return all
}()

// askTime bounds what one page may ask of the stores.
const askTime = 5 * time.Second

// page is one page of the menu, or below one.
type page struct {
	template, title string
	here            string // the entry of the menu that it belongs to
	ask             func(c *Console, ctx context.Context, r *http.Request) (any, error)
	time            time.Duration // that it may take; 0: askTime
}

// view is what every template gets.
type view struct {
	Title, Here, Role string
	Menu              []entry
	Path              string // of this page, with its query
	HasToken          bool   // there is a token to log in with
	LoggedIn          bool
	Who, CSRF         string
	Done              string // what an act has come to
	Data              any
}

type entry struct{ Path, Name string }

var menu = []entry{
	{"/console/", "Overview"},
	{"/console/hot", "Hot items"},
	{"/console/frozen", "Frozen items"},
	{"/console/repairs", "Repairs"},
	{"/console/letters", "Dead letters"},
	{"/console/sagas", "Sagas"},
	{"/console/revocations", "Revocations"},
	{"/console/notifications", "Notifications"},
	{"/console/settings", "Settings"},
	{"/console/doctor", "Doctor"},
}

func (c *Console) page(w http.ResponseWriter, r *http.Request, p page) {
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(p.time, askTime))
	defer cancel()
	data, err := p.ask(c, ctx, r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, p.template, p.title, data)
}

// render writes a page. It is made wholly first: nobody gets half of one.
func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	v := view{
		Title: title, Here: here(r.URL.Path), Role: c.opt.Role, Menu: menu, Path: r.URL.RequestURI(), HasToken: c.opt.Token != nil,
		Done: doneText(r.URL.Query().Get("done")), Data: data,
	}
	if is, ok := c.sessions.of(r); ok && v.HasToken {
		v.LoggedIn, v.Who, v.CSRF = true, is.who, c.sessions.csrf(is)
	}
	layout := "layout"
	if r.Header.Get("X-Part") != "" { // the script that keeps a part of the page fresh
		layout = "fresh"
	}
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, layout, v); err != nil {
		c.opt.Errors.ErrorContext(r.Context(), "a page could not be made", "page", name, "error", err)
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a client that has gone
}

// here is the entry of the menu that a path belongs to.
func here(path string) string {
	if p, ok := pages[path]; ok && p.here != "" {
		return p.here
	}
	return path
}

// trouble is a page that could not be shown.
type trouble struct{ What, Do string }

func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, what, do string) {
	c.render(w, r, status, "trouble", what, trouble{what, do})
}

// failed tells what became of a question or an act that did not succeed.
func (c *Console) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch t := explain(err); {
	case errors.Is(err, like.ErrNotFound):
		c.fail(w, r, http.StatusNotFound, t.What, t.Do)
	case errors.Is(err, like.ErrBadID):
		c.fail(w, r, http.StatusBadRequest, t.What, t.Do)
	case errors.Is(err, ledger.ErrActRefused):
		c.fail(w, r, http.StatusConflict, t.What, t.Do)
	default:
		c.opt.Errors.WarnContext(r.Context(), "console", "path", r.URL.Path, "error", err)
		c.fail(w, r, http.StatusServiceUnavailable, t.What, t.Do)
	}
}
