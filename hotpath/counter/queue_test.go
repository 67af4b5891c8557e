package counter

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWhoFindsNobodyAtWorkHasTheTurnAndTheConsumerWhatComesMeanwhile(t *testing.T) {
	q := newQueue[int](3)
	fits, turn := q.enter([]int{1}, true)
	if !fits || !turn {
		t.Fatalf("into an idle queue: fits %v, turn %v", fits, turn)
	}
	if fits, turn := q.enter([]int{2}, true); !fits || turn {
		t.Fatalf("while another has the turn: fits %v, turn %v", fits, turn)
	}
	batch := q.begin(1)
	if len(batch) != 1 || batch[0] != 1 {
		t.Fatalf("the turn has %v, want what it came with", batch)
	}
	q.give(batch, true)
	if _, turn := q.enter([]int{3}, true); turn {
		t.Fatal("somebody overtook what waits for the consumer")
	}
	if batch, ok := q.take(9); !ok || len(batch) != 2 || batch[0] != 2 || batch[1] != 3 {
		t.Fatalf("the consumer has %v, %v", batch, ok)
	}
}

func TestAConsumerEndsOnlyWhenNobodyHasTheTurn(t *testing.T) {
	q := newQueue[int](3)
	q.enter([]int{1}, true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if batch, ok := q.take(9); ok {
			t.Errorf("the consumer got %v", batch)
		}
	}()
	batch := q.begin(9)
	q.close()
	select {
	case <-ended:
		t.Fatal("the consumer ended during a turn")
	default:
	}
	q.give(batch, true)
	<-ended
	if fits, turn := q.enter([]int{1}, true); fits || turn {
		t.Fatalf("a closed queue took something: %v, %v", fits, turn)
	}
}

func TestEverythingIsConsumedOnceAndByOneAtATime(t *testing.T) {
	const producers, each = 8, 1000
	q := newQueue[int](producers)
	var atWork atomic.Int32
	var consumed [producers]chan struct{}
	consume := func(batch []int) {
		if atWork.Add(1) != 1 {
			t.Error("two have the turn")
		}
		runtime.Gosched() // others bring more meanwhile
		for _, p := range batch {
			consumed[p] <- struct{}{}
		}
		atWork.Add(-1)
	}
	var consumer, all sync.WaitGroup
	consumer.Go(func() {
		for {
			batch, ok := q.take(producers)
			if !ok {
				return
			}
			consume(batch)
			q.give(batch, false)
		}
	})
	for p := range producers {
		consumed[p] = make(chan struct{}, 1)
		all.Go(func() {
			for i := range each {
				if _, turn := q.enter([]int{p}, i%3 > 0); turn {
					batch := q.begin(producers)
					consume(batch)
					q.give(batch, true)
				}
				<-consumed[p] // it would wait forever for what was left behind
			}
		})
	}
	all.Wait()
	q.close()
	consumer.Wait()
}
