package console

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/cmd/internal/doctor"
	"plusone/cmd/internal/settings"
	"plusone/hotpath/counter"
	"plusone/reconcile"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// Root is where the console's pages are.
const Root = "/console/"

// Options are what the console shows, and through what it acts.
type Options struct {
	Token  Token  // that a person must show; nil: nobody may act
	Open   bool   // who only looks need not show it
	Secret []byte // that all processes on the ledger share

	Role        string              // of this process, as its command is called
	Metrics     prometheus.Gatherer // of this process
	MemoryBound int64               // of Redis, as it is set; 0 as in counter.Memory
	Checks      func(context.Context) []Check

	Ledger     *ledger.Ledger
	Log        *counter.Log
	Freezer    *tasks.Freezer
	Reconciler *reconcile.Reconciler

	Settings settings.Table                               // in force; nothing of it is secret
	Examine  func(context.Context) (doctor.Report, error) // what plusone doctor does

	Errors *slog.Logger
}

// Check is how one thing is that this process depends on.
type Check struct{ Name, State, Note string }

// The states of a check.
const (
	Fine     = "ok"
	Degraded = "degraded"
	Failed   = "FAILED"
)

// Console answers requests below Root. Run has to be called for the plots.
type Console struct {
	opt      Options
	sessions *sessions
	attempts *attempts
	samples  *sampler
	exam     chan struct{} // holds one while the doctor looks
	mux      *http.ServeMux
}

// New returns a Console.
func New(o Options) *Console {
	c := &Console{
		opt: o, sessions: newSessions(o.Secret, o.Token, time.Now), attempts: newAttempts(),
		samples: newSampler(o), exam: make(chan struct{}, 1), mux: http.NewServeMux(),
	}
	c.routes()
	return c
}

// Run samples the metrics until ctx ends.
func (c *Console) Run(ctx context.Context) { c.samples.run(ctx) }

func (c *Console) routes() {
	c.mux.Handle("GET /console/assets/", assets())
	c.mux.HandleFunc("GET /console/login", c.loginPage)
	c.mux.HandleFunc("POST /console/login", c.login)
	c.mux.HandleFunc("POST /console/logout", c.logout)
	c.mux.HandleFunc("GET /console/live", c.known(c.live))
	c.mux.HandleFunc("POST /console/act", c.known(c.act))
	c.mux.HandleFunc("POST /console/revoke", c.known(c.revoke))
	for path, p := range pages {
		c.mux.HandleFunc("GET "+path, c.known(func(w http.ResponseWriter, r *http.Request) { c.page(w, r, p) }))
	}
	c.mux.HandleFunc("GET /console/", c.known(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusNotFound, "There is no such page", "The menu has all that there are.")
	}))
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	// Forms must tell their Origin, which no-referrer would hide.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // but for the assets
	if !c.readable(w, r) {
		c.fail(w, r, http.StatusBadRequest, "That can't be read", "What was sent is not a form of text, or too long for one.")
		return
	}
	c.mux.ServeHTTP(w, r)
}

// What a form may send, in bytes.
const (
	maxForm    = 4 << 20  // room for a list of 10,000 users, escaped
	maxStrange = 16 << 10 // of who has not logged in
)

// readable reads the form of a request and reports whether it is text that stores take.
func (c *Console) readable(w http.ResponseWriter, r *http.Request) bool {
	most := int64(maxStrange)
	if c.Knows(r) {
		most = maxForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if r.ParseForm() != nil {
		return false
	}
	for _, values := range r.Form {
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return false
			}
		}
	}
	return true
}

// Knows reports whether a request comes from somebody who has logged in.
func (c *Console) Knows(r *http.Request) bool {
	_, ok := c.sessions.of(r)
	return ok && c.opt.Token != nil
}

// known sends those who have not logged in to where they can. Machines that show the
// token otherwise may look.
func (c *Console) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.opt.Token == nil || c.opt.Open || c.Knows(r) || c.opt.Token.Shown(r) {
			next(w, r)
			return
		}
		c.toLogin(w, r)
	}
}
