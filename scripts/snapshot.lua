-- Look at items of one shard: marks and likers, as they are at one moment.
--
-- KEYS  1 counts   2.. likers, one set per item
-- ARGV  1 largest set to list   2.. the item ids
--
-- Returns three values per item: the count as stored (nil when the item is cold),
-- the cardinality (-1 when the key is no set) and the likers, '' when there are
-- more than may be listed.
local most = tonumber(ARGV[1])
local marks = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
local reply = {}
for i = 1, #KEYS - 1 do
  local key = KEYS[1 + i]
  local size = redis.pcall('SCARD', key)
  if type(size) == 'table' then size = -1 end
  reply[3 * i - 2] = marks[i]
  reply[3 * i - 1] = size
  reply[3 * i] = size > 0 and size <= most and redis.call('SMEMBERS', key) or ''
end
return reply
