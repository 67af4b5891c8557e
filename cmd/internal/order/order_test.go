package order_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"plusone/cmd/internal/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPartsEndInTheReverseOfTheirStart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var ended []string
	part := func(name string) order.Part {
		return order.Part{Name: name, Run: func(ctx context.Context) error {
			<-ctx.Done()
			ended = append(ended, name) // the race detector sees parts that end together
			return ctx.Err()
		}}
	}
	stop()
	if err := order.Run(ctx, part("stores"), part("worker"), part("api")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ended, []string{"api", "worker", "stores"}) {
		t.Errorf("ended %v", ended)
	}
}

func TestThePartThatFailsEndsTheOthersAndIsNamed(t *testing.T) {
	broken := errors.New("broken")
	waits := order.Part{Name: "waits", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}
	err := order.Run(t.Context(), waits, order.Part{Name: "api", Run: func(context.Context) error { return broken }}, waits)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "api") {
		t.Errorf("error: %v", err)
	}
}

func TestAPartThatEndsByItselfIsAFailure(t *testing.T) {
	err := order.Run(t.Context(), order.Part{Name: "worker", Run: func(context.Context) error { return nil }})
	if !errors.Is(err, order.ErrEnded) {
		t.Errorf("error: %v", err)
	}
}

func TestAnErrorAtTheEndIsReported(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	late := errors.New("lost three answers")
	err := order.Run(ctx, order.Part{Name: "api", Run: func(ctx context.Context) error { <-ctx.Done(); return late }})
	if !errors.Is(err, late) {
		t.Errorf("error: %v", err)
	}
}
