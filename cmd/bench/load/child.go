package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// A load in a process of its own speaks lines. It says
//
//	at <ns> <ops>    how far it is
//	begin, end       of the measured time, when that happens
//	result <JSON>    at its end
//
// and is told "hold" and "go".

// Serve makes the load of a plan for another process.
func Serve(plan string, in io.Reader, out io.Writer) error {
	var p Plan
	if err := json.Unmarshal([]byte(plan), &p); err != nil {
		return fmt.Errorf("load: the plan: %w", err)
	}
	l, err := New(p)
	if err != nil {
		return err
	}
	go func() { // until the process ends
		for lines := bufio.NewScanner(in); lines.Scan(); {
			l.Hold(lines.Text() == "hold")
		}
	}()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) } // who does not listen ends us
	res, err := l.Run(
		func(p Progress) { say("at %d %d", p.At, p.Acked) },
		func() { say("begin") }, func() { say("end") },
	)
	if err != nil {
		return err
	}
	b, err := json.Marshal(res)
	if err != nil {
		return err
	}
	say("result %s", b)
	return nil
}

// Remote is the other end of Serve.
type Remote struct {
	Begin, End chan struct{} // closed when that happens, at the latest when all is over
	Done       chan struct{} // closed when all is over

	mu  sync.Mutex
	now Progress
	res *Result
	err error
}

// Listen reads what a load says, until it is over.
func Listen(out io.Reader) *Remote {
	r := &Remote{Begin: make(chan struct{}), End: make(chan struct{}), Done: make(chan struct{})}
	go r.listen(out)
	return r
}

func (r *Remote) listen(out io.Reader) {
	begin, end := sync.OnceFunc(func() { close(r.Begin) }), sync.OnceFunc(func() { close(r.End) })
	defer func() { begin(); end(); close(r.Done) }()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		var p Progress
		switch {
		case line == "begin":
			begin()
		case line == "end":
			end()
		case len(line) > 7 && line[:7] == "result ":
			res := new(Result)
			r.fail(json.Unmarshal([]byte(line[7:]), res))
			r.mu.Lock()
			r.res = res
			r.mu.Unlock()
		default:
			_, err := fmt.Sscanf(line, "at %d %d", &p.At, &p.Acked)
			r.fail(err)
			r.mu.Lock()
			r.now = p
			r.mu.Unlock()
		}
	}
	r.fail(lines.Err())
}

func (r *Remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("load: what it said: %w", err)
	}
}

// Now is how far the load is.
func (r *Remote) Now() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Result is what the load told, once Done is closed.
func (r *Remote) Result() (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return Result{}, r.err
	case r.res == nil:
		return Result{}, fmt.Errorf("load: it ended without a result")
	}
	return *r.res, nil
}

// Room bounds a wait for a load of a plan.
func (p Plan) Room() time.Duration { return p.Warm + p.For + patience + 10*time.Second }
