-- Make idle items cold: set and count together, and only what the ledger has.
--
-- KEYS  1 counts   2 log   3.. likers, one set per item
-- ARGV  the item ids
--
-- Returns the number of items that were dropped. An item that an entry of the log
-- names stays: the ledger may not have it yet. So does every item while the log
-- is longer than one call may look through (2,000 entries).
local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 2001)
if #entries > 2000 then return 0 end
local named = {}
for _, entry in ipairs(entries) do
  if entry[2][1] == 'd' then
    for item in string.gmatch('\n' .. entry[2][2], '\n(%S+)') do named[item] = true end
  end
end
local dropped = 0
for i, item in ipairs(ARGV) do
  if not named[item] and redis.call('HDEL', KEYS[1], item) == 1 then
    redis.call('UNLINK', KEYS[2 + i])
    dropped = dropped + 1
  end
end
return dropped
