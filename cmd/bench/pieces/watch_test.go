package pieces

import (
	"errors"
	"testing"

	"plusone/cmd/bench/load"
)

func TestWhatIsStoredMustHaveBeenPromisedOrBeUnknown(t *testing.T) {
	res := load.Result{Acked: 10, Unknown: 2}
	for stored, ok := range map[uint64]bool{9: false, 10: true, 12: true, 13: false} {
		if _, err := same("here", stored, res); errors.Is(err, ErrWrong) == ok || (err == nil) != ok {
			t.Errorf("%d stored: %v", stored, err)
		}
	}
}

func TestASustainedRateIsTheLesserOne(t *testing.T) {
	w := &watcher{begin: Sample{Seconds: 1, Acked: 100, Persisted: 50}, end: Sample{Seconds: 3, Acked: 500, Persisted: 250}}
	f := Figures{Values: map[string]float64{}}
	if w.sustain(&f); f.Values[PerSecond] != 100 {
		t.Errorf("%v", f.Values)
	}
}
