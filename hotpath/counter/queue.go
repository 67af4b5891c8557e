package counter

import "sync"

// queue holds what waits for one consumer. It is bounded, wakes its consumer
// once per batch instead of once per item, and is safe for many producers. The
// consumer's buffer and the queue's change places, so that nothing is copied.
type queue[T any] struct {
	most int // items held at most

	mu     sync.Mutex
	items  []T
	closed bool
	wake   chan struct{} // holds one token when something has come to an empty queue
}

func newQueue[T any](most int) *queue[T] {
	return &queue[T]{most: most, wake: make(chan struct{}, 1)}
}

// put appends all items or, when they do not fit or the queue is closed, none.
func (q *queue[T]) put(items ...T) bool {
	q.mu.Lock()
	had := len(q.items)
	fits := !q.closed && had+len(items) <= q.most
	if fits {
		q.items = append(q.items, items...)
	}
	q.mu.Unlock()
	if fits && had == 0 {
		q.signal()
	}
	return fits
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for items and returns up to n of them, oldest first. It keeps buf, whose
// elements must be zero; what it returns is the buf of the next call. After close it
// hands out what is left, then reports false.
func (q *queue[T]) take(buf []T, n int) ([]T, bool) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			buf = q.move(buf[:0], n)
			q.mu.Unlock()
			return buf, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		<-q.wake
	}
}

// move is take's inner part; it runs under the lock.
func (q *queue[T]) move(buf []T, n int) []T {
	if len(q.items) <= n {
		all := q.items
		q.items = buf
		return all
	}
	buf = append(buf, q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	return buf
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
