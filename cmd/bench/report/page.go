package report

import (
	_ "embed"
	"errors"
	"html/template"
	"os"
	"slices"

	"plusone/cmd/bench/pieces"
	"plusone/cmd/internal/plot"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"n": Number}).Parse(pageText))

// WritePage writes the run as one page that needs nothing else.
func (r *Run) WritePage(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = page.Execute(f, struct {
		*Run
		Style template.CSS
		Plots []template.HTML
	}{r, plot.Style, r.plots()})
	return errors.Join(err, f.Close())
}

func (r *Run) plots() []template.HTML {
	var all []template.HTML
	for _, svg := range []func() (template.HTML, bool){r.throughput, r.cpu, r.latency, r.logs, r.memory} {
		if s, ok := svg(); ok {
			all = append(all, s)
		}
	}
	for _, c := range r.Scaling {
		all = append(all, chart(c))
	}
	return all
}

// measured calls do with each piece that has figures.
func (r *Run) measured(do func(p *Piece)) {
	for i := range r.Pieces {
		if p := &r.Pieces[i]; len(p.Rounds) > 0 {
			do(p)
		}
	}
}

func (r *Run) throughput() (template.HTML, bool) {
	bars := plot.Bars{Title: "throughput, ops per second", Parts: []string{"ops"}}
	r.measured(func(p *Piece) {
		if v := p.Median(pieces.PerSecond); v > 0 {
			bars.Rows = append(bars.Rows, plot.Bar{Name: p.Name, Parts: []float64{v}, Text: Number(v)})
		}
	})
	return bars.SVG(), len(bars.Rows) > 0
}

// processes are what CPU time is shown of; the baselines' servers are "server".
var processes = []string{"api", "redis", "worker", "postgres", "load", "server"}

func (r *Run) cpu() (template.HTML, bool) {
	bars := plot.Bars{Title: "CPU µs per op", Parts: processes}
	r.measured(func(p *Piece) {
		if p.Median(pieces.CPUAll) == 0 {
			return
		}
		row := plot.Bar{Name: p.Name, Parts: make([]float64, len(processes)), Text: Number(p.Median(pieces.CPUAll))}
		for _, who := range p.Processes() {
			row.Parts[place(who)] += p.Median(pieces.CPUOf + who)
		}
		bars.Rows = append(bars.Rows, row)
	})
	return bars.SVG(), len(bars.Rows) > 0
}

func place(who string) int {
	for i, name := range processes {
		if name == who {
			return i
		}
	}
	return len(processes) - 1
}

// Of so many pieces only some are shown as lines: what one compares.
var (
	inLatency = []string{"bare", "put", "put-always", "sustained", "bare-half", "put-half", "eval", "pg-insert"}
	inSamples = []string{"put", "put-always", "sustained", "put-half", "put-1000-conns", "put-worker", "put-checked", "put-full"}
)

// latency shows the last round's percentiles, spread out towards 100 %.
func (r *Run) latency() (template.HTML, bool) {
	c := plot.Chart{
		Title: "latency", Y: plot.Axis{Name: "ms", Log: true},
		X: plot.Axis{Name: "one of so many is slower", Log: true},
	}
	r.measured(func(p *Piece) {
		f := p.Rounds[len(p.Rounds)-1]
		line := plot.Line{Name: p.Name}
		for _, q := range f.Curve {
			if q.Q < 100 {
				line.X, line.Y = append(line.X, 100/(100-q.Q)), append(line.Y, q.Micros/1000)
			}
		}
		if len(line.X) > 0 && slices.Contains(inLatency, p.Name) {
			c.Lines = append(c.Lines, line)
		}
	})
	return c.SVG(), len(c.Lines) > 0
}

func (r *Run) logs() (template.HTML, bool) {
	c := plot.Chart{Title: "entries in the logs", Y: plot.Axis{Name: "entries"}, X: plot.Axis{Name: "seconds"}}
	r.samples(&c, func(s pieces.Sample) (x, y float64) { return s.Seconds, float64(s.Log) })
	return c.SVG(), len(c.Lines) > 0
}

func (r *Run) memory() (template.HTML, bool) {
	c := plot.Chart{Title: "memory of Redis and API", Y: plot.Axis{Name: "MiB"}, X: plot.Axis{Name: "likes acknowledged"}}
	r.samples(&c, func(s pieces.Sample) (x, y float64) { return float64(s.Acked), float64(s.Redis+s.API) / (1 << 20) })
	return c.SVG(), len(c.Lines) > 0
}

// samples adds a line for the last round of each piece on plusone's API.
func (r *Run) samples(c *plot.Chart, of func(pieces.Sample) (x, y float64)) {
	r.measured(func(p *Piece) {
		line := plot.Line{Name: p.Name}
		for _, s := range p.Rounds[len(p.Rounds)-1].Samples {
			if s.API > 0 && s.Redis > 0 {
				x, y := of(s)
				line.X, line.Y = append(line.X, x), append(line.Y, y)
			}
		}
		if len(line.X) > 0 && slices.Contains(inSamples, p.Name) {
			c.Lines = append(c.Lines, line)
		}
	})
}
