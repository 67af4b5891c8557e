package tasks

import "time"

// SetPatience makes a drain give up earlier.
func (d *Drainer) SetPatience(t time.Duration) { d.patience = t }

// Size is how many changes the shard's next batch takes.
func (d *Drainer) Size(shard int) int { return d.size(shard) }

// Take is the shards that are rung for in a bucket.
func (b *Bell) Take(bucket int64) (due []int, more bool) { return b.take(bucket) }
