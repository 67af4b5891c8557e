// Package demo is the page of `plusone dev` that shows in ten seconds what plusone
// is: posts to like, counts that move, what Redis and Postgres say of them, and a
// storm of simulated users.
//
//	browser ─▶ page ─▶ like buttons ─▶ API ◀── storm, as any client
//	             └───▶ state: counts of both stores, and how far the ledger is behind
//
// It is on the API's own origin, so that the buttons work as on anybody's page. The
// storm is bounded in users, rate and time, ends by itself and ends with Run; nothing
// of it happens before somebody asks. A page of another site can't start it.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// Options are what a Demo shows.
type Options struct {
	API       string // URL, which ends without a slash
	Inside    string // URL of the internal listener
	ServerKey string // with which the storm acts for its users
	Auth      string // how the API knows users
	Log       *slog.Logger
	Logs      *counter.Log
	Ledger    *ledger.Ledger
}

// Demo answers the demo's paths, and makes its storms.
type Demo struct {
	page  []byte
	log   *slog.Logger
	view  *view
	storm *storm
}

type post struct{ Item, Title, Line string }

// posts are what can be liked here.
var posts = []post{
	{"demo-lighthouse", "The last lighthouse keeper", "He kept the light, and a diary of fog."},
	{"demo-bread", "Bread without hurry", "Flour, water, salt, and a whole night."},
	{"demo-comet", "Waiting for the comet", "It was here before there were maps."},
	{"demo-bicycle", "A bicycle for the mind", "What a tool does that gets out of the way."},
	{"demo-library", "The library at closing time", "Who reads when nobody looks."},
	{"demo-river", "Down the river in June", "Nine days, two paddles, one kettle."},
	{"demo-chess", "The quiet move", "Sometimes the best plan is to wait."},
	{"demo-garden", "A garden on the roof", "Beans, bees and the view of trains."},
	{"demo-letters", "Letters to a small town", "All of them came back answered."},
}

func items() []string {
	ids := make([]string, len(posts))
	for i, p := range posts {
		ids[i] = p.Item
	}
	return ids
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS []byte
	//go:embed page.js
	pageJS []byte
	//go:embed icon.svg
	icon []byte

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
)

// New makes a Demo; Run has to be called for storms.
func New(o Options) (*Demo, error) {
	client := &fasthttp.Client{
		Name: "plusone-demo", NoDefaultUserAgentHeader: true, MaxConnsPerHost: stormUsersAtOnce + 1, ReadTimeout: answerTime, WriteTimeout: answerTime,
		MaxIdemponentCallAttempts: 1, // what is not answered is refused, and counted as that
	}
	door := door{client: client, api: o.API, key: o.ServerKey}
	d := &Demo{log: o.Log, storm: newStorm(door), view: &view{door: door, logs: o.Logs, ledger: o.Ledger}}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, map[string]any{
		"Posts": posts, "Auth": o.Auth, "Inside": o.Inside,
		"Users": stormUsers, "Rate": stormRate, "Seconds": int(stormTime / time.Second),
	}); err != nil {
		return nil, fmt.Errorf("demo: write the page: %w", err)
	}
	d.page = page.Bytes()
	return d, nil
}

// Run makes the storms that are asked for, one at a time, until ctx ends.
func (d *Demo) Run(ctx context.Context) error {
	d.storm.run(ctx)
	return nil
}

// policy lets the page load what is its own, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Answer answers a request for one of the demo's paths, and reports whether it was one.
func (d *Demo) Answer(r *fasthttp.RequestCtx) bool {
	switch string(r.Method()) + " " + string(r.Path()) {
	case "GET /":
		r.Response.Header.Set("Content-Security-Policy", policy)
		send(r, "text/html; charset=utf-8", d.page)
	case "GET /demo/page.css":
		send(r, "text/css; charset=utf-8", pageCSS)
	case "GET /demo/page.js":
		send(r, "text/javascript; charset=utf-8", pageJS)
	case "GET /demo/icon.svg":
		send(r, "image/svg+xml", icon)
	case "GET /demo/state":
		d.state(r)
	case "POST /demo/storm":
		d.turn(r)
	default:
		return false
	}
	return true
}

func send(r *fasthttp.RequestCtx, media string, body []byte) {
	r.Response.Header.SetContentType(media)
	r.Response.SetBodyRaw(body)
}

// state tells what both stores say, and how the storm goes.
func (d *Demo) state(r *fasthttp.RequestCtx) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime) // r is no context to wait by
	defer cancel()
	body, err := json.Marshal(struct {
		look
		Storm stormState `json:"storm"`
	}{d.view.look(ctx), d.storm.state()})
	if err != nil {
		d.log.Error("demo: write the state", "error", err)
		r.SetStatusCode(fasthttp.StatusInternalServerError)
		return
	}
	send(r, "application/json", body)
}

// turn turns the storm on or off. The header is one that a page of another site
// can't send without asking first, and would not be allowed to.
func (d *Demo) turn(r *fasthttp.RequestCtx) {
	switch on := string(r.Request.Header.Peek("X-Demo-Storm")); on {
	case "on", "off":
		d.storm.turn(on == "on")
		r.SetStatusCode(fasthttp.StatusNoContent)
	default:
		r.SetStatusCode(fasthttp.StatusForbidden)
	}
}
