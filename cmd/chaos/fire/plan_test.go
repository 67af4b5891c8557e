package fire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/partner"
)

func faults(t *testing.T, h *house.House, seed uint64, n int) (told []string) {
	t.Helper()
	p, err := NewPlan(h, seed, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		f := p.Next()
		told = append(told, fmt.Sprint(f.Kind, f.Target, f.Hold, f.Wait, f.rnd))
	}
	return told
}

func TestASeedDecidesAboutEverything(t *testing.T) {
	n := 5 * len(kinds)
	one := faults(t, &house.House{Partners: &partner.Partners{}}, 1, n)
	if !slices.Equal(one, faults(t, &house.House{Partners: &partner.Partners{}}, 1, n)) {
		t.Error("the same seed brings other faults")
	}
	if slices.Equal(one, faults(t, &house.House{Partners: &partner.Partners{}}, 2, n)) {
		t.Error("another seed brings the same faults")
	}
}

func TestEveryRoundBringsEveryKind(t *testing.T) {
	p, err := NewPlan(&house.House{Partners: &partner.Partners{}}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var round []string
		for range kinds {
			round = append(round, p.Next().Kind)
		}
		slices.Sort(round)
		if names := slices.Sorted(slices.Values(Names())); !slices.Equal(round, names) {
			t.Fatalf("a round brings %v", round)
		}
	}
}

func TestWhatCannotBeHadIsSkippedWithItsReason(t *testing.T) {
	p, err := NewPlan(&house.House{Partners: &partner.Partners{}, NoDisks: errors.New("only root can"), NoClocks: errors.New("no clock")}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Skipped) != 3 || p.Skipped[0].Why != "only root can" || p.Skipped[2].Why != "no clock" {
		t.Errorf("skipped %v", p.Skipped)
	}
	if _, err := NewPlan(&house.House{Partners: &partner.Partners{}}, 1, []string{"flood"}); err == nil || !strings.Contains(err.Error(), "kill-redis") {
		t.Errorf("an unknown fault: %v", err)
	}
}
