-- Make an item partly resident, if it is not, and forget some of its users.
--
-- KEYS  1 meta   2 counts   3 log   4 partly   5 likers   6 claims
-- ARGV  1 item   2 the smallest id of the entries that were not looked at yet
--       3 n   then n users whom the entries before took out of the set last,
--       then members of the set to drop, of whom those entries say nothing
--
-- Returns {state, members that are left}; state is
--   'done'
--   'cold'   the item is not resident
--   'held'   an import is at it, so the ledger may not know of its users yet
--   'many'   look at the log first
--
-- A user who is not in the set of a partly resident item is looked up in the
-- ledger. So nobody may be missing whom the ledger may not have yet: users who
-- have just been removed are marked as known not to like it, and users whom the
-- log names are kept.
local meta, counts, log, likers = KEYS[1], KEYS[2], KEYS[3], KEYS[5]
local item, n = ARGV[1], tonumber(ARGV[3])
if redis.call('HEXISTS', counts, item) == 0 then return {'cold', 0} end
if claimed(KEYS[6], item) then return {'held', 0} end
local said = told(log, ARGV[2], item)
if not said then return {'many', 0} end

local function removed(user)
  if redis.call('SISMEMBER', likers, user) == 0 then redis.call('SADD', likers, '%' .. user) end
end
redis.call('SADD', KEYS[4], item)
if redis.call('SADD', likers, '%') == 1 then
  for i = 4, 3 + n do removed(ARGV[i]) end
  for user, sign in pairs(said) do
    if sign == '-' and string.sub(user, 1, 1) ~= '%' then removed(user) end
  end
end
for i = 4 + n, #ARGV do
  local member = ARGV[i]
  local user = string.match(member, '^%%(.+)$') or member
  if member ~= '%' and not said[user] then redis.call('SREM', likers, member) end
end
forgot(meta)
return {'done', redis.call('SCARD', likers)}
