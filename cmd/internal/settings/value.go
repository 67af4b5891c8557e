package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// valued reads a value, and says in words for people when there is none or it is
// none.
type valued struct{ kong.Mapper }

// wellSaid has all values of app read so.
func wellSaid(app *kong.Application) {
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error { // the visitor has no errors
		if v, ok := node.(*kong.Value); ok && !v.IsBool() {
			v.Mapper = valued{v.Mapper}
		}
		return next(nil)
	})
}

// Decode implements kong.Mapper.
func (v valued) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	switch {
	case token.IsEOL():
		return errors.New("its value is missing")
	case !token.IsValue() && ctx.Value.Flag != nil:
		return fmt.Errorf("its value is missing; if %s is meant to be it: --%s=%[1]s", token, ctx.Value.Name)
	}
	err := v.Mapper.Decode(ctx, target)
	if want := wanted(target); err != nil && want != "" {
		return fmt.Errorf("%q is no %s", token.Value, want)
	}
	return err
}

// wanted is what a value is to be, "" for those that say so themselves.
func wanted(target reflect.Value) string {
	if target.Kind() == reflect.Pointer {
		target = reflect.New(target.Type().Elem()).Elem()
	}
	switch target.Interface().(type) {
	case time.Duration, []time.Duration:
		return "time, such as 90s, 5m or 1h30m"
	case int, int64:
		return "whole number"
	case float64:
		return "number"
	case slog.Level:
		return "level: debug, info, warn or error"
	case []netip.Prefix:
		return "network, such as 10.0.0.0/8"
	}
	return ""
}
