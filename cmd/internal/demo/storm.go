package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/time/rate"
)

// What a storm is at most.
const (
	stormUsers       = 10_000
	stormUsersAtOnce = 32
	stormRate        = 2000 // likes and unlikes a second
	stormTime        = 20 * time.Second
)

// unlikes is how many of a hundred ops take a like back.
const unlikes = 15

// storm is thousands of users who like at once. Some like everything, some come back
// and take it away; the first posts get the most.
type storm struct {
	door    door
	longest time.Duration
	starts  chan struct{} // one waits

	mu       sync.Mutex
	wanted   bool
	stop     context.CancelFunc // of the storm that is on, nil without one
	ends     time.Time
	sent     int64
	refused  int64
	begun    time.Time // of the window
	window   *hdrhistogram.Histogram
	measured measured // in the last whole window
}

// measured is how the API has answered, within windowTime.
type measured struct {
	Rate   float64 `json:"rate"` // answers a second
	Median float64 `json:"median_ms"`
	P99    float64 `json:"p99_ms"`
}

const windowTime = time.Second

// stormState is what the page is told.
type stormState struct {
	On      bool  `json:"on"`
	LeftMS  int64 `json:"left_ms"`
	Sent    int64 `json:"sent"` // in the last storm
	Refused int64 `json:"refused"`
	measured
}

func newStorm(d door) *storm {
	slowest := int64(2 * answerTime / time.Microsecond)
	return &storm{door: d, longest: stormTime, starts: make(chan struct{}, 1), window: hdrhistogram.New(1, slowest, 2)}
}

// turn starts a storm, or ends the one that is on.
func (s *storm) turn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = on
	if !on && s.stop != nil {
		s.stop()
	}
	if !on {
		return
	}
	select {
	case s.starts <- struct{}{}:
	default: // one is about to start
	}
}

func (s *storm) state() stormState {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := stormState{On: s.stop != nil, Sent: s.sent, Refused: s.refused}
	if st.On {
		st.LeftMS = max(0, time.Until(s.ends).Milliseconds())
		st.measured = s.measured
	}
	return st
}

// run makes storms until ctx ends.
func (s *storm) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.starts:
			s.rage(ctx)
		}
	}
}

// rage is one storm; it returns when all of its users have gone.
func (s *storm) rage(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.longest)
	defer cancel()
	if !s.begin(cancel) {
		return
	}
	defer func() { s.end(errors.Is(ctx.Err(), context.DeadlineExceeded)) }()
	pace := rate.NewLimiter(stormRate, stormUsersAtOnce)
	var users sync.WaitGroup
	defer users.Wait()
	for range stormUsersAtOnce {
		users.Go(func() {
			for pace.Wait(ctx) == nil {
				s.act()
			}
		})
	}
}

// begin reports whether the storm is still wanted: it may have been ended before, or
// asked for while another was on.
func (s *storm) begin(stop context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return false
	}
	s.stop, s.ends = stop, time.Now().Add(s.longest)
	s.sent, s.refused, s.measured, s.begun = 0, 0, measured{}, time.Now()
	s.window.Reset()
	return true
}

// end notes that the storm is over. One that has raged itself out has done what was
// wanted meanwhile, too; one that was ended may be wanted again.
func (s *storm) end(byItself bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop, s.wanted = nil, s.wanted && !byItself
}

// act is one user's like, or unlike.
func (s *storm) act() {
	//nolint:gosec // nothing here is a secret
	user, item, liked := rand.IntN(stormUsers), posts[min(rand.IntN(len(posts)), rand.IntN(len(posts)))].Item, rand.IntN(100) >= unlikes
	began := time.Now()
	err := s.door.like(item, fmt.Sprintf("storm-%04d", user), liked)
	s.record(time.Since(began), err)
}

func (s *storm) record(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if err != nil {
		s.refused++
	}
	_ = s.window.RecordValue(took.Microseconds()) // beyond its range is beyond answerTime
	age := time.Since(s.begun)
	if age < windowTime {
		return
	}
	s.measured = measured{
		Rate:   float64(s.window.TotalCount()) / age.Seconds(),
		Median: float64(s.window.ValueAtQuantile(50)) / 1000,
		P99:    float64(s.window.ValueAtQuantile(99)) / 1000,
	}
	s.window.Reset()
	s.begun = time.Now()
}
