package report

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"plusone/cmd/bench/pieces"
)

// Run is all that is told of a bench.
type Run struct {
	Started  time.Time       `json:"started"`
	Machine  string          `json:"machine"`
	Commit   string          `json:"commit"`
	Settings pieces.Settings `json:"settings"`
	Rounds   int             `json:"rounds"`
	Took     float64         `json:"seconds"`
	Pieces   []Piece         `json:"pieces"`
	Goals    []Goal          `json:"goals"`
	Scaling  []pieces.Curve  `json:"scaling,omitempty"`
}

// Piece is one piece with the figures of its rounds.
type Piece struct {
	Name   string           `json:"name"`
	What   string           `json:"what"`
	Rounds []pieces.Figures `json:"rounds"`
	Error  string           `json:"error,omitempty"` // of the round that failed
	Wrong  bool             `json:"wrong"`           // what was stored was not what was acknowledged
}

// Spread is a median and the least and the most of the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Goal is what became of a goal.
type Goal struct {
	pieces.Goal
	Value  float64 `json:"value"`            // median of the piece's figure
	Ratio  Spread  `json:"ratio"`            // to the base; without a base the figure
	ByCPU  float64 `json:"ratio_by_cpu"`     // the same by CPU time of all processes; 0: that says nothing here
	Failed string  `json:"failed,omitempty"` // why there is no value
}

// Add puts the figures of one run of a piece, or its failure.
func (r *Run) Add(p *pieces.Piece, f pieces.Figures, err error) {
	at := slices.IndexFunc(r.Pieces, func(x Piece) bool { return x.Name == p.Name })
	if at < 0 {
		at = len(r.Pieces)
		r.Pieces = append(r.Pieces, Piece{Name: p.Name, What: p.What})
	}
	if err != nil {
		r.Pieces[at].Error = err.Error()
		r.Pieces[at].Wrong = r.Pieces[at].Wrong || errors.Is(err, pieces.ErrWrong)
		return
	}
	r.Pieces[at].Rounds = append(r.Pieces[at].Rounds, f)
}

// Piece is the piece of that name; nil: it was not measured.
func (r *Run) Piece(name string) *Piece {
	for i := range r.Pieces {
		if r.Pieces[i].Name == name {
			return &r.Pieces[i]
		}
	}
	return nil
}

// Median is the median of a figure over the rounds.
func (p *Piece) Median(figure string) float64 {
	var all []float64
	for _, f := range p.Rounds {
		if v, ok := f.Values[figure]; ok {
			all = append(all, v)
		}
	}
	return spread(all).Median
}

// Millis is such a median of microseconds, in milliseconds.
func (p *Piece) Millis(figure string) float64 { return p.Median(figure) / 1000 }

// Counted tells how the last round was checked.
func (p *Piece) Counted() string {
	if len(p.Rounds) == 0 {
		return ""
	}
	return p.Rounds[len(p.Rounds)-1].Counted
}

// Wrong reports whether a count was wrong.
func (r *Run) Wrong() bool {
	return slices.ContainsFunc(r.Pieces, func(p Piece) bool { return p.Wrong })
}

// Failed reports whether a piece could not be measured.
func (r *Run) Failed() bool {
	return slices.ContainsFunc(r.Pieces, func(p Piece) bool { return p.Error != "" })
}

// Judge fills Goals.
func (r *Run) Judge(goals []pieces.Goal) {
	r.Goals = nil
	for _, g := range goals {
		r.Goals = append(r.Goals, r.judge(g))
	}
}

func (r *Run) judge(g pieces.Goal) Goal {
	out := Goal{Goal: g}
	for _, name := range g.Needs() {
		if p := r.Piece(name); p == nil || p.Error != "" || len(p.Rounds) == 0 {
			out.Failed = name + " was not measured"
			if p != nil && p.Wrong {
				out.Failed = "WRONG: " + name
			}
			return out
		}
	}
	of := r.Piece(g.Of)
	out.Value = of.Median(g.Figure)
	ratios, byCPU := of.ratios(g.Figure, nil), []float64(nil)
	if g.Base != "" {
		base := r.Piece(g.Base)
		ratios = of.ratios(g.Figure, base)
		if g.Figure == pieces.PerSecond && !g.Wall {
			byCPU = base.ratios(pieces.CPUAll, of)
		}
	}
	out.Ratio, out.ByCPU = spread(ratios), spread(byCPU).Median
	return out
}

// ratios are those of a figure to base's, round by round; to 1 without base. A
// piece of one round is compared with each of the other's.
func (p *Piece) ratios(figure string, base *Piece) (all []float64) {
	n := len(p.Rounds)
	if base != nil {
		n = max(n, len(base.Rounds))
	}
	for i := range n {
		v, to := p.Rounds[min(i, len(p.Rounds)-1)].Values[figure], 1.0
		if base != nil {
			to = base.Rounds[min(i, len(base.Rounds)-1)].Values[figure]
		}
		if to > 0 {
			all = append(all, v/to)
		}
	}
	return all
}

func spread(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	all = slices.Sorted(slices.Values(all))
	median := all[len(all)/2]
	if len(all)%2 == 0 {
		median = (median + all[len(all)/2-1]) / 2
	}
	return Spread{Median: median, Min: all[0], Max: all[len(all)-1]}
}

// WriteJSON writes the run to a file.
func (r *Run) WriteJSON(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
