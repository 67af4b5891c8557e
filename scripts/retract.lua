-- Take one change back that the ledger has, by a change of its own, unless
-- something newer has happened to the pair.
--
-- KEYS  1 meta   2 counts   3 log   4 likers   5 marks   6 a key that tells for a day
--       that this call has done it; may be missing
-- ARGV  1 shards   2 item   3 user   4 the state that the change made, 1 or 0
--       5 the smallest id of the entries that were not looked at yet; those before
--       it are in the ledger, or do not name the pair   6 whose change it is, ''
--       when nobody wants to find it again
--
-- Returns a state, and for 'done' the id of the new entry:
--         'done'     the log says the opposite now
--         'newer'    an entry from ARGV[5] on names the pair
--         'many'     look at the log first
--         'closed'   the shard is not open for this number of shards
--         'cold'     the item is not resident
--         'unknown'  it is, partly, and knows nothing of the user
--         'damaged'  the set or the count can't be read or moved
--
-- A pair that the set has in the other state already is drift, since the ledger
-- and the log say otherwise: then the log is what is missing.
--
-- A mark is a field "item user" of marks, with whose change it is and its id: who
-- dies before he has kept the answer finds it there.
local meta, counts, log, likers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local item, user, from = ARGV[2], ARGV[3], ARGV[4] == '1' and 1 or 0
if redis.call('HGET', meta, 'shards') ~= ARGV[1] then return {'closed'} end
local newer = named(log, ARGV[5], item, user)
if newer ~= 'no' then return {newer == 'many' and 'many' or 'newer'} end
local mark = redis.call('HGET', counts, item)
if not mark then return {'cold'} end
local is = redis.pcall('SMISMEMBER', likers, user, '%', '%' .. user)
if is.err or not tonumber(mark) or tonumber(mark) < from then return {'damaged'} end
local partly = is[2] == 1
if partly and is[1] == 0 and is[3] == 0 then return {'unknown'} end

if is[1] == from then
  -- What may fail comes first, see like.lua.
  local moved = redis.pcall('HINCRBY', counts, item, from == 1 and -1 or 1)
  if type(moved) == 'table' then return {'damaged'} end
  redis.call(from == 1 and 'SREM' or 'SADD', likers, user)
  if partly then redis.call(from == 1 and 'SADD' or 'SREM', likers, '%' .. user) end
end
local id = redis.call('XADD', log, '*', 'd', item .. (from == 1 and ' -' or ' +') .. user)
if ARGV[6] ~= '' then redis.call('HSET', KEYS[5], item .. ' ' .. user, ARGV[6] .. ' ' .. id) end
if KEYS[6] then redis.call('SET', KEYS[6], '', 'PX', 86400000) end
return {'done', id}
