package model

import (
	"slices"

	"plusone/hotpath/like"
)

// Import brings a like in from elsewhere, or an unlike, of a version that is older than
// all that waits in the log. What plusone has made itself stays, on both sides; what an
// older import has brought gives way. It reports whether the ledger has changed.
func (w *World) Import(p Pair, liked bool, v like.Version) bool {
	row, has := w.Rows[p]
	if liked && w.Frozen[p.Item] || has && (!row.Version.Imported() || row.Version > v || row.Liked == liked) {
		return false
	}
	w.Rows[p] = Row{Liked: liked, Version: v}
	users, resident := w.Likers[p.Item]
	switch {
	case !resident || w.waits(p):
	case liked:
		users[p.User] = true
	default:
		delete(users, p.User)
	}
	return true
}

// waits reports whether an entry that the ledger lacks names a pair.
func (w *World) waits(p Pair) bool {
	return slices.ContainsFunc(w.LogOf(p.Item).Pending(), func(e Entry) bool {
		return slices.ContainsFunc(e.Changes, func(ch like.Change) bool { return ch.Item == p.Item && ch.User == p.User })
	})
}
