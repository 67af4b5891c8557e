package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"plusone/hotpath/like"
)

// A cursor is the place of the last row that a client has seen, signed:
//
//	base64url( place ‖ HMAC-SHA256(secret, label ‖ len(subject) ‖ subject ‖ place)[:16] )
//
// The label names the list and the subject its item or user, so that a cursor
// opens no other list than the one that gave it.
type cursors struct{ secret []byte }

// MinSecret is the fewest bytes of a secret that signs cursors or tokens.
const MinSecret = 32

const macSize = 16

// The lists that have cursors.
const (
	likersCursor = "plusone cursor 1 likers"
	likesCursor  = "plusone cursor 1 likes"
)

func (c cursors) mac(label, subject string, place []byte) []byte {
	h := hmac.New(sha256.New, c.secret)
	h.Write([]byte(label))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(subject))))
	h.Write([]byte(subject))
	h.Write(place)
	return h.Sum(nil)[:macSize]
}

func (c cursors) seal(label, subject string, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(place, c.mac(label, subject, place)...))
}

// open returns the place that seal was given.
func (c cursors) open(label, subject, cursor string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < macSize || strings.ContainsAny(cursor, "\r\n") { // which base64 passes over
		return nil, fmt.Errorf("%w: it is malformed", errBadCursor)
	}
	place := b[: len(b)-macSize : len(b)-macSize]
	if !hmac.Equal(b[len(place):], c.mac(label, subject, place)) {
		return nil, errBadCursor
	}
	return place, nil
}

// likers gives and takes the cursors of an item's likers: the place is the last
// user.
func (c cursors) sealLiker(item, user string) string {
	return c.seal(likersCursor, item, []byte(user))
}

func (c cursors) openLiker(item, cursor string) (user string, err error) {
	if cursor == "" {
		return "", nil
	}
	place, err := c.open(likersCursor, item, cursor)
	return string(place), err
}

// The place in a user's likes is the last version and item.
func (c cursors) sealLike(user string, last like.LikedItem) string {
	place := binary.BigEndian.AppendUint64(nil, uint64(last.Version))
	return c.seal(likesCursor, user, append(place, last.Item...))
}

func (c cursors) openLike(user, cursor string) (like.LikedItem, error) {
	if cursor == "" {
		return like.LikedItem{}, nil
	}
	place, err := c.open(likesCursor, user, cursor)
	if err != nil {
		return like.LikedItem{}, err
	}
	if len(place) < 8 {
		return like.LikedItem{}, errBadCursor
	}
	return like.LikedItem{Version: like.Version(binary.BigEndian.Uint64(place)), Item: string(place[8:])}, nil
}
