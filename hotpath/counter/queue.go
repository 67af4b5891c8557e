package counter

import "sync"

// queue holds what waits for its consumer. It is bounded, wakes its consumer
// once per batch instead of once per item, and is safe for many producers.
//
// One at a time has the turn: the consumer, or a producer that found nobody at work
// and consumes by itself what it brought, without waking anybody. Who has it need
// not be told that more has come: the turn's end shows it.
type queue[T any] struct {
	most int // items held at most

	mu     sync.Mutex
	items  []T
	spare  []T  // the memory of the last turn's batch, empty
	busy   bool // somebody has the turn
	closed bool
	wake   chan struct{} // holds one token when the consumer has to look
}

func newQueue[T any](most int) *queue[T] {
	return &queue[T]{most: most, wake: make(chan struct{}, 1)}
}

// put appends all items or, when they do not fit or the queue is closed, none.
func (q *queue[T]) put(items ...T) bool {
	fits, _ := q.enter(items, false)
	return fits
}

// enter is put by somebody who may take the turn; if so it is the caller's, who then
// takes a batch by begin.
func (q *queue[T]) enter(items []T, may bool) (fits, turn bool) {
	q.mu.Lock()
	had := len(q.items)
	fits = !q.closed && had+len(items) <= q.most
	if fits {
		q.items = append(q.items, items...)
	}
	first := fits && had == 0 && !q.busy
	if turn = first && may && len(items) > 0; turn {
		q.busy = true
	}
	q.mu.Unlock()
	if first && !turn {
		q.signal()
	}
	return fits, turn
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for items and for the turn, and returns up to n of them, oldest first,
// until give. After close it hands out what is left, then reports false: then nobody
// has the turn, and nobody will.
func (q *queue[T]) take(n int) ([]T, bool) {
	for {
		q.mu.Lock()
		if !q.busy && len(q.items) > 0 {
			q.busy = true
			batch := q.move(n)
			q.mu.Unlock()
			return batch, true
		}
		over := q.closed && !q.busy
		q.mu.Unlock()
		if over {
			return nil, false
		}
		<-q.wake
	}
}

// poll is take without the waiting: it takes the turn if there are items, or anyway.
// It is for a consumer to whom nobody else takes the turn. open is false when nothing
// will come any more.
func (q *queue[T]) poll(n int, anyway bool) (batch []T, turn, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	open = !q.closed || len(q.items) > 0
	if len(q.items) == 0 && !anyway {
		return nil, false, open
	}
	q.busy = true
	return q.move(n), true, open
}

// begin returns up to n items, oldest first, to whom enter gave the turn.
func (q *queue[T]) begin(n int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.move(n)
}

// move is the inner part of take and begin; it runs under the lock. The memory of
// the batch and the queue's change places, so that nothing is copied.
func (q *queue[T]) move(n int) []T {
	batch := q.spare
	q.spare = nil
	if len(q.items) <= n {
		batch, q.items = q.items, batch
		return batch
	}
	batch = append(batch, q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	return batch
}

// give ends a turn and takes its batch back, whose items are not kept alive.
// Whoever is not the consumer says so: then it has to look, if there is anything to
// be done.
func (q *queue[T]) give(batch []T, wake bool) {
	clear(batch)
	q.mu.Lock()
	q.busy, q.spare = false, batch[:0]
	wake = wake && (len(q.items) > 0 || q.closed)
	q.mu.Unlock()
	if wake {
		q.signal()
	}
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// close refuses further items and lets take end.
func (q *queue[T]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}
