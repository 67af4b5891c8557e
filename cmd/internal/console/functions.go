package console

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// functions are what templates spell things with.
var functions = template.FuncMap{
	"asset":  Asset,
	"stamp":  func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") },
	"ago":    func(t time.Time) string { return ago(time.Since(t)) },
	"num":    number,
	"signed": signed,
	"add":    func(a, b int) int { return a + b },
	"minutes": func(d time.Duration) string {
		return strconv.Itoa(int(math.Round(d.Minutes()))) + " minutes"
	},
	"tone":   tone,
	"tile":   func(path, name string, n int, note string) tile { return tile{path, name, n, note} },
	"actOf":  actOf,
	"states": func(now string, all []string) choice { return choice{now, all} },
}

// tile is a number that leads to a list.
type tile struct {
	Path, Name string
	N          int
	Note       string
}

// choice is a list of states, and which of them is chosen.
type choice struct {
	Now string
	All []string
}

// actForm is what the form of an act needs.
type actForm struct {
	View       view
	Key, ID    string
	Name, Says string
	Final      bool
}

func actOf(v view, key string, id any) actForm {
	d := deeds[key]
	return actForm{View: v, Key: key, ID: fmt.Sprint(id), Name: d.name, Says: d.says, Final: d.final}
}

// number spells an integer with a thin space between thousands.
func number(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return sign + digits
}

func signed(n int64) string {
	if n > 0 {
		return "+" + number(n)
	}
	return number(n)
}

// ago spells how long something is ago, as short as it is of use.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < 2*time.Second:
		return "now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// tone is how a state is coloured; its word says the same.
func tone(state any) string {
	switch fmt.Sprint(state) {
	case Fine, "done", "delivered", "retried", "undone":
		return "good"
	case Failed, "wrong", "stuck", "exhausted", "open":
		return "bad"
	case Degraded, "warning", "compensating", "retrying", "pending", "running", "undoing":
		return "fair"
	}
	return "plain"
}
