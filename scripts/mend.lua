-- Repair one finding of the reconciler, unless live traffic got there first.
--
-- KEYS  1 counts   2 log   3 likers   4 pin
-- ARGV  1 what   2 the pin's text   3 item   4 user   5 the smallest id of the
--       entries after the pin that were not looked at yet
--   what: add     the ledger has the pair, its set has lost it
--         remove  the ledger has seen the pair's unlike, its set has not
--         append  the set has the pair, the ledger never had it: log it again
--         count   the count is not the cardinality
--         drop    the set or the count can't be read: make the item cold
--
-- Returns {state, before, after}; state is
--   'done'      before and after are what the count was and is, for count
--   'kept'      it is no longer as it was found, or a newer entry names it
--   'unpinned'  the pin is gone, so that entries may be missing
--   'many'      look at the log first
local counts, log, likers = KEYS[1], KEYS[2], KEYS[3]
local what, item, user = ARGV[1], ARGV[3], ARGV[4]
if redis.call('GET', KEYS[4]) ~= ARGV[2] then return {'unpinned'} end
local mark = redis.call('HGET', counts, item)
if not mark then return {'kept'} end

if what == 'count' then
  local size = tostring(redis.call('SCARD', likers))
  if mark == size then return {'kept'} end
  redis.call('HSET', counts, item, size)
  return {'done', mark, size}
end

local newer = named(log, ARGV[5], item, what ~= 'drop' and user)
if newer ~= 'no' then return {newer == 'many' and 'many' or 'kept'} end

if what == 'drop' then
  redis.call('HDEL', counts, item)
  redis.call('UNLINK', likers)
  return {'done'}
end
local is = redis.call('SISMEMBER', likers, user)
if is ~= (what == 'add' and 0 or 1) then return {'kept'} end
if what == 'add' then
  redis.call('SADD', likers, user)
elseif what == 'remove' then
  redis.call('SREM', likers, user)
else
  redis.call('XADD', log, '*', 'd', item .. ' +' .. user)
end
return {'done'}
