package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"plusone/hotpath/like"
)

// listLikers answers who likes an item. One row more than asked for is read, so
// that the last page has no cursor.
func (s *Server) listLikers(ctx context.Context, c *call) error {
	item, err := c.item()
	if err != nil {
		return err
	}
	page, err := pageOf(c.query, "cursor")
	if err != nil {
		return err
	}
	after, err := s.cursors.openLiker(item, page.place)
	if err != nil {
		return err
	}
	likers, err := s.lists.Likers(ctx, item, after, page.limit+1)
	if err != nil {
		return err
	}
	next := ""
	if len(likers) > page.limit {
		likers = likers[:page.limit]
		next = s.cursors.sealLiker(item, likers[page.limit-1].User)
	}
	b := append(make([]byte, 0, 64*len(likers)+answerSize), `{"likers":[`...)
	for i, l := range likers {
		b = appendListed(b, i, `{"user":`, l.User)
		b = append(appendTime(b, l.At), '}')
	}
	b = appendNext(b, next)
	return s.share(c, b, c.documentTag(b))
}

// listLikes answers what a user likes, to that user and to servers.
func (s *Server) listLikes(ctx context.Context, c *call) error {
	user, err := c.arg, like.CheckUser(c.arg)
	if err != nil {
		return err
	}
	if user != c.who.user {
		if err := c.server(); err != nil {
			return fmt.Errorf("%w: what a user likes is told to that user and to servers", err)
		}
	}
	page, err := pageOf(c.query, "cursor")
	if err != nil {
		return err
	}
	after, err := s.cursors.openLike(user, page.place)
	if err != nil {
		return err
	}
	likes, err := s.lists.LikedBy(ctx, user, after, page.limit+1)
	if err != nil {
		return err
	}
	next := ""
	if len(likes) > page.limit {
		likes = likes[:page.limit]
		next = s.cursors.sealLike(user, likes[page.limit-1])
	}
	b := append(make([]byte, 0, 96*len(likes)+answerSize), `{"likes":[`...)
	for i, l := range likes {
		b = appendListed(b, i, `{"item":`, l.Item)
		b = append(appendTime(b, l.Version.Time()), '}')
	}
	return c.answer(appendNext(b, next))
}

// appendListed appends a list's i-th object up to the value of its "at".
func appendListed(b []byte, i int, start, id string) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = append(b, start...)
	b = appendString(b, id)
	return append(b, `,"at":`...)
}

// appendNext ends a list.
func appendNext(b []byte, cursor string) []byte {
	b = append(b, ']')
	if cursor != "" {
		b = append(b, `,"next_cursor":`...)
		b = appendString(b, cursor)
	}
	return append(b, '}')
}

// listNotifications answers what receivers were told after a place, so that one
// who missed something can catch up.
func (s *Server) listNotifications(ctx context.Context, c *call) error {
	if err := c.server(); err != nil {
		return err
	}
	page, err := pageOf(c.query, "after")
	if err != nil {
		return err
	}
	after, err := afterOf(page)
	if err != nil {
		return err
	}
	list, err := s.notifications.Notifications(ctx, after, page.limit)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		after = list[len(list)-1].Seq
	} else {
		list = []like.Notification{} // [] rather than null
	}
	b, err := json.Marshal(struct {
		Notifications []like.Notification `json:"notifications"`
		NextAfter     int64               `json:"next_after"` // ask for this next
	}{list, after})
	if err != nil {
		return fmt.Errorf("write notifications: %w", err)
	}
	return c.answer(b)
}

func afterOf(p page) (int64, error) {
	if p.place == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(p.place, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: after must be a number that an answer gave", errBadQuery)
	}
	return int64(n), nil
}
