-- Take one change back that the ledger refused for good.
--
-- KEYS  1 counts   2 log   3 likers
-- ARGV  1 item   2 user   3 the state that the change made, 1 or 0   4 the smallest
--       id of the entries that may hold something newer and were not looked at yet
--
-- Returns 'undone', also when Redis does not show the change (it was undone before,
-- or the item is cold), 'kept' when a newer entry names the pair, or 'many': look
-- at the log first. Nothing is appended to the log: the ledger never had the change.
local counts, log, likers = KEYS[1], KEYS[2], KEYS[3]
local item, user = ARGV[1], ARGV[2]
local newer = named(log, ARGV[4], item, user)
if newer ~= 'no' then return newer == 'many' and 'many' or 'kept' end
if redis.call('HEXISTS', counts, item) == 0 then return 'undone' end
-- A set that can't be read, or a count that can't be moved, is damage: it must not
-- hold the drain up. The reconciler mends both, from the ledger and from the set.
local is = redis.pcall('SMISMEMBER', likers, user, '%', '%' .. user)
if is.err or is[1] ~= tonumber(ARGV[3]) then return 'undone' end
local partly = is[2] == 1
if ARGV[3] == '1' then
  redis.pcall('HINCRBY', counts, item, -1)
  redis.call('SREM', likers, user)
  if partly then redis.call('SADD', likers, '%' .. user) end
elseif not partly or is[3] == 1 then
  redis.pcall('HINCRBY', counts, item, 1)
  redis.call('SADD', likers, user)
  if partly then redis.call('SREM', likers, '%' .. user) end
end
return 'undone'
