-- Make idle items cold: set and count together, and only what the ledger has.
--
-- KEYS  1 meta   2 counts   3 log   4 partly   5 votes   6.. likers, one set per item
-- ARGV  1 the smallest id of the entries that were not looked at yet
--       2.. the item ids, none of them named by the entries before
--
-- Returns the number of items that were dropped. An item that an entry of the log
-- names stays: the ledger may not have it yet. So does every item when more
-- entries have come than one call may look through (200).
local entries = redis.call('XRANGE', KEYS[3], ARGV[1], '+', 'COUNT', 201)
if #entries > 200 then return 0 end
local names = {}
for _, entry in ipairs(entries) do
  if entry[2][1] == 'd' then
    for item in string.gmatch('\n' .. entry[2][2], '\n(%S+)') do names[item] = true end
  end
end
local dropped, partly = 0, 0
for i = 1, #ARGV - 1 do
  local item, likers = ARGV[1 + i], KEYS[5 + i]
  if not names[item] and redis.call('HDEL', KEYS[2], item) == 1 then
    if redis.pcall('SISMEMBER', likers, '%') == 1 then partly = partly + 1 end
    redis.call('SREM', KEYS[4], item)
    redis.call('HDEL', KEYS[5], item)
    redis.call('UNLINK', likers)
    dropped = dropped + 1
  end
end
if partly > 0 then forgot(KEYS[1]) end
return dropped
