package like

import "time"

// Quota is how many likes a user may make within a window; none by default. Windows
// begin at multiples of their length, by Redis' clock.
type Quota struct {
	Likes  int
	Window time.Duration // whole milliseconds
	// RefundUnlikes says that a user's unlike gives a unit back.
	RefundUnlikes bool
}

// IsOn reports whether there is a quota.
func (q Quota) IsOn() bool { return q.Likes > 0 }

// Units are where a user stands with a quota.
type Units struct {
	Known bool // an op has asked
	Left  int
	Ends  time.Time // of the window, by this process' clock
}
