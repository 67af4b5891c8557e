-- Look at items of one shard: marks and likers, as they are at one moment.
--
-- KEYS  1 counts   2.. likers, one set per item
-- ARGV  1 largest set to list   2.. the item ids
--
-- Returns four values per item: the count as stored (nil when the item is cold),
-- the cardinality (-1 when the key is no set), the likers, '' when there are
-- more than may be listed, and 1 when the item is partly resident.
local most = tonumber(ARGV[1])
local marks = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
local reply = {}
for i = 1, #KEYS - 1 do
  local key = KEYS[1 + i]
  local size = redis.pcall('SCARD', key)
  if type(size) == 'table' then size = -1 end
  local partly = size > 0 and redis.call('SISMEMBER', key, '%') or 0
  reply[4 * i - 3] = marks[i]
  reply[4 * i - 2] = size
  reply[4 * i - 1] = size > 0 and size <= most and partly == 0 and redis.call('SMEMBERS', key) or ''
  reply[4 * i] = partly
end
return reply
