// Package scripts holds what Redis runs: one Lua file per script, embedded.
// Each file's head tells its keys, arguments and answers.
package scripts

import _ "embed"

// The scripts, as Redis gets them.
var (
	//go:embed like.lua
	Like string
	//go:embed read.lua
	Read string
	//go:embed open.lua
	Open string
	//go:embed check.lua
	Check string
	//go:embed purge.lua
	Purge string
	//go:embed lease.lua
	Lease string
	//go:embed install.lua
	Install string
	//go:embed trim.lua
	Trim string

	//go:embed pin.lua
	Pin string
	//go:embed evict.lua
	Evict string
	//go:embed keep.lua
	Keep string
	//go:embed snapshot.lua
	Snapshot string

	//go:embed names.lua
	names string
	//go:embed undo.lua
	undo string
	//go:embed mend.lua
	mend string

	Undo = names + undo
	Mend = names + mend
)
