-- Pin a shard's log at its last id: what comes after it stays until the pin
-- ends, so that its owner can tell what live traffic has changed meanwhile.
--
-- KEYS  1 meta   2 log   3 pin
-- ARGV  1 shards   2 token   3 time to live in ms
--
-- Returns the last id, or 'closed'. The pin holds "id token", the last id. A
-- pin that is there belongs to an owner who lost the shard's lock: its repairs
-- fail from now on.
if redis.call('HGET', KEYS[1], 'shards') ~= ARGV[1] then return 'closed' end
local at = last(KEYS[2])
redis.call('SET', KEYS[3], at .. ' ' .. ARGV[2], 'PX', ARGV[3])
return at
