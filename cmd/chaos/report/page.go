package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"os"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"s":     seconds,
	"maybe": func(s *float64) string { return seconds(orNever(s)) },
	"codes": codes,
	"upper": strings.ToUpper,
	"inc":   func(i int) int { return i + 1 },
	"ms":    func(s float64) string { return fmt.Sprintf("%.0f", s) },
}).Parse(pageText))

// WritePage writes the run as one page that needs nothing else.
func (r *Run) WritePage(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = page.Execute(f, struct {
		*Run
		Good bool
		Plot plot
	}{r, r.OK(), r.plot()})
	return errors.Join(err, f.Close())
}
