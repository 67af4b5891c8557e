package api

import (
	"context"
	"fmt"

	"plusone/hotpath/like"
)

// readItem answers one item. An item that nobody has liked has zero likes: there
// is no such thing as an unknown item.
func (s *Server) readItem(ctx context.Context, c *call) error {
	item, err := c.item()
	if err != nil {
		return err
	}
	c.item1[0] = item
	readings, err := s.read(ctx, c, c.item1[:])
	if err != nil {
		return err
	}
	return s.tell(c, &readings[0])
}

// tell sends a reading of one item: to somebody with whether he likes it, else to
// everybody.
func (s *Server) tell(c *call, r *like.Reading) error {
	if c.who.user != "" {
		return c.answer(appendReading(c.body[:0], r, true))
	}
	return s.share(c, appendReading(c.body[:0], r, false), c.countTag(r.Count))
}

// readRecent answers for an item that is asked for all the time, if nobody is told
// whether he likes it. arg is its id, still escaped.
func (s *Server) readRecent(c *call, arg []byte) bool {
	if c.who.user != "" {
		return false
	}
	item, err := appendUnescaped(c.body[:0], arg, false)
	if err != nil {
		return false
	}
	r, ok := s.counter.Recent(item, c.http.Time())
	return ok && s.tell(c, &r) == nil // item is not needed any more
}

// readItems answers up to maxItems items in the order of the query.
func (s *Server) readItems(ctx context.Context, c *call) error {
	items, err := itemsOf(c.query)
	if err != nil {
		return err
	}
	readings, err := s.read(ctx, c, items)
	if err != nil {
		return err
	}
	b := append(make([]byte, 0, 128*len(items)), `{"items":[`...)
	var as moment
	for i := range readings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendReadingAt(b, &readings[i], c.who.user != "", &as)
	}
	b = append(b, `]}`...)
	if c.who.user != "" {
		return c.answer(b)
	}
	return s.share(c, b, c.countsTag(readings))
}

// read holds the counter to one reading for each item.
func (s *Server) read(ctx context.Context, c *call, items []string) ([]like.Reading, error) {
	readings, err := s.counter.Read(ctx, items, c.who.user)
	if err != nil {
		return nil, err
	}
	if len(readings) != len(items) {
		return nil, fmt.Errorf("read %d items: got %d readings", len(items), len(readings))
	}
	return readings, nil
}

// readReceipt tells how far a change has got, and when it was accepted.
func (s *Server) readReceipt(ctx context.Context, c *call) error {
	r, err := like.ParseReceipt(c.arg)
	if err != nil {
		return err
	}
	got, err := s.receipts.ReceiptState(ctx, r, c.who.user)
	if err != nil {
		return err
	}
	b := append(c.body[:0], `{"receipt":`...)
	b = appendReceipt(b, r)
	b = append(b, `,"state":`...)
	b = appendString(b, string(got.State))
	if got.By != "" {
		b = append(b, `,"by":`...)
		b = appendString(b, got.By)
	}
	if got.Reason != "" {
		b = append(b, `,"reason":`...)
		b = appendString(b, got.Reason)
	}
	b = append(b, `,"accepted_at":`...)
	b = appendTime(b, r.Version.Time())
	return c.answer(append(b, '}'))
}
