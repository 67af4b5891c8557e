-- Take requests out of the token buckets that all processes share.
--
-- KEYS  buckets of one shard: each holds the time (Redis' clock, µs) when it is full
--       again, and ends by then; one that is not there is full
-- ARGV  two per bucket: what was spent and how long an empty bucket takes to fill,
--       both in µs
--
-- Returns per bucket the time in µs until it is full again.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local levels = {}
for i, key in ipairs(KEYS) do
  local spent, depth = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full = tonumber(redis.call('GET', key) or now) or now
  full = math.min(math.max(full, now) + spent, now + depth)
  levels[i] = full - now
  if spent > 0 then
    redis.call('SET', key, string.format('%.0f', full), 'PX', math.max(1, math.ceil(levels[i] / 1000)))
  end
end
return levels
