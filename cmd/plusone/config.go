package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/listener"
	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/cmd/internal/telemetry"
	"plusone/hotpath/api"
	"plusone/tasks/ledger"
)

type configCmd struct {
	Print configPrintCmd `cmd:"" help:"Show every setting of plusone serve, and where its value comes from; secrets are masked."`
	Check configCheckCmd `cmd:"" help:"Tell whether plusone serve would take the settings; nobody is asked and nothing is started."`
}

// serveSettings are those of plusone serve, which are all but those of dev.
type serveSettings struct {
	settings.Stores `group:"Stores"`
	allSettings

	JSON bool `name:"json" help:"As JSON."`
}

type configPrintCmd struct{ serveSettings }

// Run shows the settings in force, by group.
func (c configPrintCmd) Run(table settings.Table, out io.Writer) error {
	if c.JSON {
		return showJSON(out, table)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	group := ""
	for _, s := range table {
		if s.Group != group {
			group = s.Group
			_, _ = fmt.Fprintf(w, "\n%s\n", group)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, cmp.Or(s.Value, "-"), cmp.Or(s.Where, string(s.Source)))
	}
	return w.Flush() // reports what the lines above could not write
}

type configCheckCmd struct{ serveSettings }

// checked is what plusone config check reports.
type checked struct {
	Good  bool     `json:"good"`
	Wrong []string `json:"wrong"`
	Notes []string `json:"notes"` // what may be meant otherwise, or was not looked at
}

// Run reports what a start would refuse before it asks a store.
func (c configCheckCmd) Run(ctx context.Context, app *kong.Kong, table settings.Table, out io.Writer) error {
	report := checked{Wrong: []string{}, Notes: []string{}}
	for _, err := range c.wrong(ctx) {
		report.Wrong = append(report.Wrong, err.Error())
	}
	report.variables(settings.UnknownVariables(app.Model, os.Environ()))
	if c.JWKSURL != "" {
		report.Notes = append(report.Notes, "--jwks-url is not asked for its keys; plusone doctor does that")
	}
	report.Good = len(report.Wrong) == 0
	if err := c.show(out, report, table); err != nil {
		return err
	}
	if !report.Good {
		return usage("found wrong: %d; plusone config print shows where each value comes from", len(report.Wrong))
	}
	return nil
}

// variables adds PLUSONE_ variables that set nothing: they are wrong when they look
// like one that does. Others may be made by a platform for a service of that name.
func (r *checked) variables(unknown map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		if meant := unknown[name]; meant != "" {
			r.Wrong = append(r.Wrong, fmt.Sprintf("variable %s sets nothing; is it to be %s?", name, meant))
		} else {
			r.Notes = append(r.Notes, fmt.Sprintf("variable %s sets nothing", name))
		}
	}
}

func (c configCheckCmd) show(out io.Writer, r checked, table settings.Table) error {
	if c.JSON {
		return showJSON(out, r)
	}
	for _, line := range r.Wrong {
		_, _ = fmt.Fprintln(out, "wrong:", line)
	}
	for _, line := range r.Notes {
		_, _ = fmt.Fprintln(out, "note: ", line)
	}
	if !r.Good {
		return nil
	}
	from := map[settings.Source]int{}
	for _, s := range table {
		from[s.Source]++
	}
	_, err := fmt.Fprintf(out, "good: %d by flags, %d by variables, %d by the file, %d by default\n",
		from[settings.FromFlag], from[settings.FromVariable], from[settings.FromFile], from[settings.FromDefault])
	return err
}

// wrong makes of the process what needs no store, as plusone serve does, and runs
// none of it.
func (c configCheckCmd) wrong(ctx context.Context) []error {
	p := &process{
		log: slog.New(slog.DiscardHandler), tuning: c.Tuning, registry: prometheus.NewRegistry(),
		layout: ledger.Layout{Secret: make([]byte, api.MinSecret)}, // that of the ledger is always fit
	}
	defer p.close()
	var errs [2]error
	p.redis, errs[0] = stores.DialRedis(cmp.Or(c.RedisURL, "redis://127.0.0.1"))
	errs[1] = stores.CheckPostgresURL(c.PostgresURL)
	all := append(
		errs[:], missing(c.Missing()), c.Tuning.Contradiction(), checkAddress("listen", c.Listen),
		listener.CheckAddress(c.InternalListen, console.Token(c.InternalToken)),
		p.checkIdentity(ctx, c.Auth), p.addSagas(c.Sagas, c.WebhookAllowPrivate, nil),
	)
	_, err := telemetry.IsOn(os.Getenv)
	all = append(all, err)
	_, err = p.newNotifier(c.workerSettings)
	all = append(all, err)
	if p.redis != nil {
		_, err = p.addLimits(c.Rates)
		all = append(all, err)
	}
	return slices.DeleteFunc(all, func(err error) bool { return err == nil })
}

// checkIdentity reads the keys that are in files.
func (p *process) checkIdentity(ctx context.Context, s settings.Auth) error {
	if s.Contradiction() == nil && s.JWKSURL != "" {
		s = settings.Auth{Auth: api.AuthHeader, ServerKeys: s.ServerKeys, CORSOrigins: s.CORSOrigins}
	}
	identity, err := p.newIdentity(ctx, s)
	if err == nil {
		identity.Close()
	}
	return err
}

func checkAddress(setting, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usage("--%s: %w", setting, err)
	}
	return nil
}
