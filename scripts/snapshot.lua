-- Look at items of one shard: marks and likers, as they are at one moment.
--
-- KEYS  1 counts   2 votes   3.. likers, one set per item
-- ARGV  1 largest set to list   2.. the item ids
--
-- Returns five values per item: the count as stored (nil when the item is cold),
-- the cardinality (-1 when the key is no set), the likers, '' when there are
-- more than may be listed, 1 when the item is partly resident, and the sum of its
-- votes as stored (nil when it has none).
local most = tonumber(ARGV[1])
local marks = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
local votes = redis.pcall('HMGET', KEYS[2], unpack(ARGV, 2))
local reply = {}
for i = 1, #KEYS - 2 do
  local key = KEYS[2 + i]
  local size = redis.pcall('SCARD', key)
  if type(size) == 'table' then size = -1 end
  local partly = size > 0 and redis.call('SISMEMBER', key, '%') or 0
  reply[5 * i - 4] = marks[i]
  reply[5 * i - 3] = size
  reply[5 * i - 2] = size > 0 and size <= most and partly == 0 and redis.call('SMEMBERS', key) or ''
  reply[5 * i - 1] = partly
  reply[5 * i] = votes[i] or false
end
return reply
