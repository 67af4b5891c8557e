package counter

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Buckets is the number of buckets that items fall into; the number of shards
// divides it.
const Buckets = 4096

// Bucket is xxhash(item) % 4096.
func Bucket(item string) int { return int(xxhash.Sum64String(item) % Buckets) }

// ShardOf is the shard of an item. shards must be a power of two up to Buckets,
// so that it equals xxhash(item) % shards.
func ShardOf(item string, shards int) int { return shardOf(xxhash.Sum64String(item), shards) }

func shardOf(hash uint64, shards int) int { return int(hash%Buckets) & (shards - 1) }

// keys are the names of one shard's keys. All carry the shard as hash tag.
type keys struct {
	meta, counts, log, pin, recent string
	partly                         string // a set that names the partly resident items
	marks                          string // a hash of changes that somebody wants to find again, see Mark
	votes, refs                    string // hashes: the sum of an item's votes; what became of some of them
	claims                         string // a hash of items that imports are at
	likers, lease, loaded          string // prefixes of the keys per item
	rate                           string // prefix of the shared rate limits
	quota, reserved                string // what the shard's users have used, and what they reserve
	back                           string // prefix of what was taken back
	traces, trace                  string // notes of requests; prefix of those of drains
}

func keysOf(shard int) keys {
	p := "p1:{" + strconv.Itoa(shard) + "}:"
	return keys{
		meta: p + "meta", counts: p + "counts", log: p + "log", pin: p + "pin", recent: p + "recent",
		partly: p + "partly", marks: p + "marks", votes: p + "votes", refs: p + "refs",
		claims: p + "claims",
		likers: p + "likers:", lease: p + "lease:", loaded: p + "loaded:",
		rate:  p + "rate:",
		quota: p + "quota", reserved: p + "reserved",
		back:   p + "back:",
		traces: p + "traces", trace: p + "trace:",
	}
}

func keysOfAll(shards int) []keys {
	all := make([]keys, shards)
	for s := range all {
		all[s] = keysOf(s)
	}
	return all
}
