package settings

import (
	"fmt"
	"strconv"
)

// Shards is a number of shards.
type Shards int

// UnmarshalText reads a power of two from 1 to 4096.
func (s *Shards) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 4096 || n&(n-1) != 0 {
		return fmt.Errorf("%q is not a power of two from 1 to 4096", b)
	}
	*s = Shards(n)
	return nil
}
