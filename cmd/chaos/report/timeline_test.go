package report

import (
	"testing"
	"time"
)

// lived is a timeline of 10 s with an op every 10 ms, except from 4.0 s to
// 6.5 s.
func lived() (*Timeline, func(float64) time.Time) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	t := NewTimeline(start)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for ms := 0; ms < 10_000; ms += 10 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		if ms < 4000 || ms >= 6500 {
			t.Acked(now)
		} else if ms%100 == 0 {
			t.Failed(now, "unavailable", ms%200 == 0)
		}
	}
	return t, at
}

func TestATimelineTellsWhenFullSpeedIsBack(t *testing.T) {
	line, at := lived()
	if m := line.Median(at(0), at(10)); m != 100 {
		t.Errorf("median %v, want 100", m)
	}
	after, ok := line.Reached(at(4), at(10), 90)
	if !ok || after != 2500*time.Millisecond {
		t.Errorf("full speed after %v (%v), want 2.5 s", after, ok)
	}
	if _, ok := line.Reached(at(4), at(6), 90); ok {
		t.Error("full speed while nothing is answered")
	}
	if after, ok := line.Reached(at(2), at(10), 90); !ok || after != 0 {
		t.Errorf("full speed after %v (%v) where it never went away", after, ok)
	}
}

func TestATimelineTellsTheLongestGap(t *testing.T) {
	line, at := lived()
	for _, c := range []struct{ from, to, want float64 }{
		{0, 3.9, 0}, {3, 8, 2.51}, {5, 8, 1.5}, {3, 5, 2.51}, {7, 9, 0}, {9, 12, 2.01},
	} {
		if gap := line.LongestGap(at(c.from), at(c.to)).Seconds(); gap < c.want-0.001 || gap > c.want+0.001 {
			t.Errorf("longest gap from %v to %v: %v, want %v", c.from, c.to, gap, c.want)
		}
	}
}

func TestATimelineCountsFailuresByCode(t *testing.T) {
	line, at := lived()
	sum := line.Between(at(3), at(7))
	if sum.Acked != 150 || sum.Unknown != 13 || sum.Refused["unavailable"] != 12 {
		t.Errorf("%+v", sum)
	}
	line.Log(at(6), 5000)
	line.Log(at(7), 30)
	if after, ok := line.LogBelow(at(5), at(9), 100); !ok || after != 2*time.Second {
		t.Errorf("the log is short after %v (%v), want 2 s", after, ok)
	}
}
