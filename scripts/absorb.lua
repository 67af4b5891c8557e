-- Bring resident items what an import is about to change in the ledger.
--
-- KEYS  1 meta   2 counts   3 log   4.. likers, one set per item
-- ARGV  1 the smallest id of the entries that were not looked at yet; those before it
--       do not name the pairs   then per item: its id, n, and n users, + before those
--       who like it now and - before those who do not any more
--
-- Returns how many items were brought up to date, from the first: all of them, or fewer
-- when the log has to be looked at first.
--
-- The rows of these pairs are locked in the ledger, and their flips not committed: so
-- whatever a user has done to one of them is in the log, and will win. Of all others
-- the set says what the ledger said before. To repeat it is harmless: who is in the set
-- already has been counted. A set or a count that can't be read is left to the
-- reconciler.
local meta, counts, log = KEYS[1], KEYS[2], KEYS[3]
local at = 2

-- The users of one item, up to ARGV[at + 1 + n].
local function bring(item, likers, n, said)
  local mark = redis.call('HGET', counts, item)
  if not mark or #mark > 15 or not string.find(mark, '^%d+$') then return end
  local ask = {'%'}
  for i = 1, n do
    local user = string.sub(ARGV[at + 1 + i], 2)
    ask[2 * i], ask[2 * i + 1] = user, '%' .. user
  end
  local is = redis.pcall('SMISMEMBER', likers, unpack(ask))
  if is.err then return end
  local partly, adds, removes, by = is[1] == 1, {}, {}, 0
  for i = 1, n do
    local user, likes = ask[2 * i], string.byte(ARGV[at + 1 + i]) == 43
    local known = is[2 * i] == 1
    if not likes then known = partly and is[2 * i + 1] == 1 or not partly and is[2 * i] == 0 end
    if not known and not said[user] then
      local into, from = adds, removes
      if not likes then into, from = removes, adds end
      into[#into + 1] = user
      if partly then from[#from + 1] = '%' .. user end
      by = by + (likes and 1 or -1)
    end
  end
  if #adds + #removes == 0 or tonumber(mark) + by < 0 then return end
  -- What may lack memory comes first, see like.lua.
  if #adds > 0 then redis.call('SADD', likers, unpack(adds)) end
  if #removes > 0 then redis.call('SREM', likers, unpack(removes)) end
  redis.call('HINCRBY', counts, item, by)
  if partly then forgot(meta) end -- an answer of the ledger from before is too old
end

for g = 4, #KEYS do
  local n = tonumber(ARGV[at + 1])
  local said = told(log, ARGV[1], ARGV[at])
  if not said then return g - 4 end
  bring(ARGV[at], KEYS[g], n, said)
  at = at + 2 + n
end
return #KEYS - 3
