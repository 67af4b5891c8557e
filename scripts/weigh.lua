-- Read a partly resident item's count, and of which moment it is.
--
-- KEYS  1 meta   2 counts   3 log   4 likers
-- ARGV  1 item
--
-- Returns {count, forgot, last id}, or nothing when the item is not partly
-- resident.
local count = redis.call('HGET', KEYS[2], ARGV[1])
if not count or redis.call('SISMEMBER', KEYS[4], '%') == 0 then return {} end
return {count, redis.call('HGET', KEYS[1], 'forgot') or '', last(KEYS[3])}
