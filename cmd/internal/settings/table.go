package settings

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Source is what a value comes from.
type Source string

// The sources, the strongest first.
const (
	FromFlag     Source = "flag"
	FromVariable Source = "variable"
	FromFile     Source = "file"
	FromDefault  Source = "default"
)

// Setting is one setting in force. Its value holds no secret: it can be shown.
type Setting struct {
	Group  string `json:"group,omitempty"`
	Name   string `json:"name"`   // the flag's, without --
	Value  string `json:"value"`  // as it is written; "" is nothing, or what the program chooses
	Source Source `json:"source"` // which of the four
	Where  string `json:"where"`  // the flag, the variable, or the file; "" for a default
	Secret bool   `json:"secret,omitempty"`
}

// Table is every setting of a command, in the order of its help.
type Table []Setting

// InForce is the Table of a command that Parse has returned.
func InForce(command *kong.Context) (t Table) {
	_, _ = command.Call(func(bound Table) { t = bound }) // Parse has bound it
	return t
}

// Differ names the settings that have another value, or another source, in b.
func (t Table) Differ(b Table) []string {
	was := map[string]Setting{}
	for _, s := range t {
		was[s.Name] = s
	}
	var names []string
	for _, s := range b {
		if was[s.Name] != s {
			names = append(names, s.Name)
		}
	}
	return names
}

// aside are flags about an answer, not about what plusone does.
var aside = []string{"help", "json"}

// table tells what command runs with.
func (o *outside) table(command *kong.Context) Table {
	given := map[*kong.Flag]bool{}
	for _, p := range command.Path {
		given[p.Flag] = !p.Resolved
	}
	var t Table
	for _, f := range command.Flags() {
		if slices.Contains(aside, f.Name) {
			continue
		}
		s := Setting{Name: f.Name, Value: show(f), Source: FromDefault, Secret: f.Tag.Has("secret")}
		if f.Group != nil {
			s.Group = f.Group.Title
		}
		_, where := o.value(f.Name)
		switch {
		case given[f]:
			s.Source, s.Where = FromFlag, "--"+f.Name
		case where == Variable(f.Name):
			s.Source, s.Where = FromVariable, where
		case where != "":
			s.Source, s.Where = FromFile, o.path
		}
		t = append(t, s)
	}
	return t
}

// show writes a flag's value as a person would, without what must stay secret.
func show(f *kong.Flag) string {
	v := f.Target
	if v.Kind() != reflect.Slice || isText(v) {
		return mask(f, text(v))
	}
	list := make([]string, v.Len())
	for i := range list {
		list[i] = mask(f, text(v.Index(i)))
	}
	return strings.Join(list, ",")
}

func isText(v reflect.Value) bool {
	return v.Type().Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return duration(x)
	case slog.Level:
		return strings.ToLower(x.String())
	case encoding.TextMarshaler:
		b, _ := x.MarshalText() // none of ours fails
		return string(b)
	default:
		return fmt.Sprint(x)
	}
}

// duration is 5m where Go says 5m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
