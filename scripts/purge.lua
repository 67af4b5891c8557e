-- Drop items of a closed shard, left from its earlier life.
--
-- KEYS  1 meta   2 counts   3.. likers, one set per item
-- ARGV  the item ids
--
-- Returns 1, or 0 when the shard has been opened meanwhile (nothing is dropped).
local shards = redis.call('HGET', KEYS[1], 'shards')
if shards and not string.find(shards, '^mov') then return 0 end
redis.call('UNLINK', unpack(KEYS, 3))
redis.call('HDEL', KEYS[2], unpack(ARGV))
return 1
