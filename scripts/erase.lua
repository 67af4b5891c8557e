-- Drop what sets know of a user beside a like: that he is known not to like a
-- partly resident item, and everything in the set of an item that is cold.
--
-- KEYS  1 meta   2 counts   3 log   4.. likers, one set per item
-- ARGV  1 user   2 the smallest id of the entries that were not looked at yet
--       3.. the item ids, whose pairs with the user no entry before names
--
-- Returns the number of members that were dropped. Who is not in the set of a partly
-- resident item is looked up in the ledger, so a pair that the log names stays.
local meta, counts, log, user = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local dropped, partly = 0, 0
for i = 3, #ARGV do
  local item, likers = ARGV[i], KEYS[1 + i]
  if redis.call('TYPE', likers).ok == 'set' then
    if redis.call('HEXISTS', counts, item) == 0 then
      dropped = dropped + redis.call('SREM', likers, user, '%' .. user)
    elseif named(log, ARGV[2], item, user) == 'no' then
      local n = redis.call('SREM', likers, '%' .. user)
      dropped, partly = dropped + n, partly + n
    end
  end
end
if partly > 0 then forgot(meta) end
return dropped
