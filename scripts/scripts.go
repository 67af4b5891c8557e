// Package scripts holds what Redis runs: one Lua file per script, embedded.
// Each file's head tells its keys, arguments and answers.
package scripts

import _ "embed"

// What other scripts begin with.
//
//go:embed shared.lua
var shared string

// The scripts, as embedded.
var (
	//go:embed absorb.lua
	absorb string
	//go:embed check.lua
	check string
	//go:embed erase.lua
	erase string
	//go:embed evict.lua
	evict string
	//go:embed forget.lua
	forget string
	//go:embed install.lua
	install string
	//go:embed lease.lua
	lease string
	//go:embed mark.lua
	mark string
	//go:embed mend.lua
	mend string
	//go:embed pin.lua
	pin string
	//go:embed retract.lua
	retract string
	//go:embed revote.lua
	revote string
	//go:embed tally.lua
	tally string
	//go:embed undo.lua
	undo string
	//go:embed unvote.lua
	unvote string
	//go:embed vote.lua
	vote string
	//go:embed weigh.lua
	weigh string
)

// The scripts, as Redis gets them.
var (
	//go:embed claim.lua
	Claim string
	//go:embed disclaim.lua
	Disclaim string
	//go:embed freeze.lua
	Freeze string
	//go:embed giveback.lua
	GiveBack string
	//go:embed hold.lua
	Hold string
	//go:embed keep.lua
	Keep string
	//go:embed learn.lua
	Learn string
	//go:embed like.lua
	Like string
	//go:embed open.lua
	Open string
	//go:embed purge.lua
	Purge string
	//go:embed quota.lua
	Quota string
	//go:embed rate.lua
	Rate string
	//go:embed read.lua
	Read string
	//go:embed rejoin.lua
	Rejoin string
	//go:embed snapshot.lua
	Snapshot string
	//go:embed trim.lua
	Trim string

	Absorb  = shared + absorb
	Check   = shared + check
	Erase   = shared + erase
	Evict   = shared + evict
	Forget  = shared + forget
	Install = shared + install
	Lease   = shared + lease
	Mark    = shared + mark
	Mend    = shared + mend
	Pin     = shared + pin
	Retract = shared + retract
	Revote  = shared + revote
	Tally   = shared + tally
	Undo    = shared + undo
	Unvote  = shared + unvote
	Vote    = shared + vote
	Weigh   = shared + weigh
)
