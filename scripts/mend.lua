-- Repair one finding of the reconciler, unless live traffic got there first.
--
-- KEYS  1 meta   2 counts   3 log   4 likers   5 pin   6 partly   7 votes
-- ARGV  1 what   2 the pin's text   3 item   4 user   5 the smallest id of the
--       entries after the pin that were not looked at yet   6.. for
--       shift and votes
--   what: add     the ledger has the pair, its set has lost it
--         remove  the ledger has seen the pair's unlike, its set has not
--         append  the set has the pair, the ledger never had it: log it again
--         count   the count is not the cardinality and the votes
--         votes   the sum of the item's votes is not the ledger's, but ARGV[6];
--                 ARGV[7] is what it was, ARGV[8] what tally.lua told of `voted`
--         shift   the count of a partly resident item is wrong by ARGV[6];
--                 ARGV[7] is what weigh.lua told of `forgot`
--         drop    the set or the count can't be read: make the item cold
--
-- Returns {state, before, after}; state is
--   'done'      before and after are what was and is, for count, votes and shift
--   'kept'      it is no longer as it was found, or a newer entry names it
--   'unpinned'  the pin is gone, so that entries may be missing
--   'many'      look at the log first
local meta, counts, log, likers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local what, item, user = ARGV[1], ARGV[3], ARGV[4]
if redis.call('GET', KEYS[5]) ~= ARGV[2] then return {'unpinned'} end
local mark = redis.call('HGET', counts, item)
if not mark then return {'kept'} end
local partly = redis.pcall('SISMEMBER', likers, '%') == 1

if what == 'count' then
  local votes = total(KEYS[7], item)
  if partly or not votes then return {'kept'} end
  local size = string.format('%.0f', redis.call('SCARD', likers) + votes)
  if mark == size then return {'kept'} end
  redis.call('HSET', counts, item, size)
  return {'done', mark, size}
elseif what == 'votes' then
  if (redis.call('HGET', KEYS[7], item) or '') ~= ARGV[7] or (redis.call('HGET', meta, 'voted') or '') ~= ARGV[8] then
    return {'kept'}
  end
  redis.call('HSET', KEYS[7], item, ARGV[6])
  return {'done', ARGV[7], ARGV[6]}
elseif what == 'shift' then
  if not partly or (redis.call('HGET', meta, 'forgot') or '') ~= ARGV[7] then return {'kept'} end
  return {'done', mark, tostring(redis.call('HINCRBY', counts, item, ARGV[6]))}
end

local newer = named(log, ARGV[5], item, what ~= 'drop' and user)
if newer ~= 'no' then return {newer == 'many' and 'many' or 'kept'} end

if what == 'drop' then
  redis.call('HDEL', counts, item)
  redis.call('UNLINK', likers)
  redis.call('SREM', KEYS[6], item)
  redis.call('HDEL', KEYS[7], item)
  if partly then forgot(meta) end
  return {'done'}
end
if partly and string.find(user, '%', 1, true) then return {'kept'} end -- no user
local is = redis.call('SISMEMBER', likers, user)
if is ~= (what == 'add' and 0 or 1) then return {'kept'} end
if what == 'append' then
  redis.call('XADD', log, '*', 'd', item .. ' +' .. user)
  return {'done'}
end
if not partly then
  redis.call(what == 'add' and 'SADD' or 'SREM', likers, user)
  return {'done'}
end
local from, to = '%' .. user, user
if what == 'remove' then from, to = user, '%' .. user end
-- Of whom a partly resident item knows nothing, nothing can be wrong.
if redis.call('SREM', likers, from) == 0 then return {'kept'} end
redis.call('SADD', likers, to)
return {'done'}
