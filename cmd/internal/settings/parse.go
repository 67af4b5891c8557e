package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// File is the flag that names a settings file.
type File struct {
	Config string `help:"Read settings from this YAML file: flag names as keys." placeholder:"FILE"`
}

// configFlag is the name of File's flag.
const configFlag = "config"

// Parse fills grammar, a struct of kong commands that embeds File, from args,
// the environment (env looks a variable up), the settings file and defaults.
// An error is the caller's mistake and names the flag, variable or key. A Run of
// the command that asks for a Table gets the settings in force.
func Parse(grammar any, args []string, env func(string) string, options ...kong.Option) (*kong.Context, error) {
	from := &outside{env: env}
	options = append(options,
		kong.WithBeforeResolve(from.check),
		kong.Resolvers(from),
		kong.ValueFormatter(describe),
	)
	parser, err := kong.New(grammar, options...)
	if err != nil {
		return nil, fmt.Errorf("command line grammar: %w", err)
	}
	wellSaid(parser.Model)
	command, err := parser.Parse(args)
	if err != nil {
		return nil, err
	}
	command.Bind(from.table(command))
	return command, positive(command)
}

// positive refuses numbers and times that are zero or less: every one of our
// settings is a bound, a rate or a pause.
func positive(command *kong.Context) error {
	for _, f := range command.Flags() {
		if !above0(f.Target) {
			return fmt.Errorf("--%s must be above 0", f.Name)
		}
	}
	return nil
}

func above0(v reflect.Value) bool {
	switch v := v.Interface().(type) {
	case int:
		return v > 0
	case *int: // nil: not given
		return v == nil || *v > 0
	case time.Duration:
		return v > 0
	}
	return true
}

// describe adds the variable's name to a flag's help.
func describe(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" {
		return v.Help
	}
	return fmt.Sprintf("%s ($%s)", v.Help, Variable(v.Name))
}

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return "PLUSONE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// outside resolves flags that the command line does not hold. kong calls check,
// then Resolve for each of them, then Validate.
type outside struct {
	env  func(string) string
	path string
	keys map[string]string
}

// check reads the settings file and tries the values from outside, so that an
// error names where the value stands.
func (o *outside) check(ctx *kong.Context) error {
	if err := o.load(ctx); err != nil {
		return err
	}
	given := map[*kong.Flag]bool{} // on the command line, whatever else says
	for _, p := range ctx.Path {
		given[p.Flag] = true
	}
	for _, flag := range ctx.Flags() {
		text, where := o.value(flag.Name)
		if where == "" || given[flag] {
			continue
		}
		if err := try(flag, text); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// try decodes a value as kong will, to nowhere.
func try(flag *kong.Flag, text string) error {
	target := reflect.New(flag.Target.Type()).Elem()
	err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(text, kong.FlagValueToken)}, target)
	switch {
	case err != nil:
		return err
	case flag.Enum != "" && !slices.Contains(flag.EnumSlice(), text):
		return fmt.Errorf("%q is none of %s", text, strings.Join(flag.EnumSlice(), ", "))
	case !above0(target):
		return fmt.Errorf("%s must be above 0", text)
	}
	return nil
}

// value looks a setting up and tells where it stands, "" if nowhere.
func (o *outside) value(flag string) (text, where string) {
	if flag == "help" {
		return "", ""
	}
	if v := o.env(Variable(flag)); v != "" {
		return v, Variable(flag)
	}
	if v, ok := o.keys[flag]; ok {
		return v, o.path + ": " + flag
	}
	return "", ""
}

// Resolve implements kong.Resolver.
func (o *outside) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if text, where := o.value(flag.Name); where != "" {
		return text, nil
	}
	return nil, nil
}

// Validate refuses keys that are no flag of any command.
func (o *outside) Validate(app *kong.Application) error {
	known := flagsOf(app)
	delete(known, configFlag)
	delete(known, "help")
	var unknown []string
	for key := range o.keys {
		if !known[key] {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	for i, key := range unknown {
		if meant := nearest(strings.ReplaceAll(key, "_", "-"), known); meant != "" {
			unknown[i] += " (" + meant + "?)"
		}
	}
	return fmt.Errorf("%s: unknown setting %s; keys are flag names, such as redis-url", o.path, strings.Join(unknown, ", "))
}

// load reads the settings file.
func (o *outside) load(ctx *kong.Context) error {
	o.path = o.env(Variable(configFlag))
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == configFlag {
			o.path, _ = ctx.FlagValue(p.Flag).(string)
		}
	}
	if o.path == "" {
		return nil
	}
	f, err := os.Open(o.path)
	if err != nil {
		return fmt.Errorf("--%s: %w", configFlag, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return o.decode(f)
}

func (o *outside) decode(r io.Reader) error {
	var raw map[string]any
	err := yaml.NewDecoder(r).Decode(&raw)
	if bad := yaml.Error(nil); errors.As(err, &bad) { // its own text quotes the file, secrets and all
		return fmt.Errorf("%s, line %d: %s", o.path, bad.GetToken().Position.Line, bad.GetMessage())
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", o.path, err)
	}
	o.keys = make(map[string]string, len(raw))
	for key, v := range raw {
		value, ok, err := plain(v)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", o.path, key, err)
		}
		if ok {
			o.keys[key] = value
		}
	}
	return nil
}

// plain turns a YAML value into what kong reads from a command line, where a
// list is separated by commas. A null is no value: ok is false.
func plain(v any) (text string, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			if _, nested := e.([]any); nested {
				return "", false, errNotPlain
			}
			if list[i], ok, err = plain(e); !ok || err != nil {
				return "", false, errNotPlain
			}
		}
		return kong.JoinEscaped(list, ','), true, nil
	case map[string]any:
		return "", false, errNotPlain
	default:
		return fmt.Sprint(v), true, nil
	}
}

var errNotPlain = errors.New("want a value or a list of values")
