-- Read counts, and who likes what, of one shard; atomic, so that a set is
-- never looked at without its item's mark.
--
-- KEYS  1 meta   2 counts   3 partly   4.. likers, one set per item of this call,
--       each item once: its id is what follows "likers:"
-- ARGV  1 shards   2 sizes, a byte per item: how many users are asked about, 0 if the
--       count alone is wanted   3.. the users, item after item
--
-- Returns {'closed'}  the shard is not open for this number of shards
--         {liked, counts}  a letter per user: 1 liked, 0 not, c item is cold, u user
--         is unknown (like.lua tells when), e the set can't be read; and a line per
--         item: its count, empty if it is cold
--
-- Every set is touched, if only to look into it, so that OBJECT IDLETIME tells of
-- reads, too.
local G = #KEYS - 3
local KEYS, ARGV = KEYS, ARGV
local call, pcall, concat = redis.call, redis.pcall, table.concat
local rep, sub, byte = string.rep, string.sub, string.byte

local meta = call('HMGET', KEYS[1], 'shards', 'forgot', 'marked')
if meta[1] ~= ARGV[1] then return {'closed'} end

local items, from = {}, #KEYS[2] + 2 -- where the id begins in the name of an item's set
for g = 1, G do items[g] = sub(KEYS[3 + g], from) end
local counts = call('HMGET', KEYS[2], unpack(items))
-- Who is partly resident; when that can't be relied on, every set is asked.
local unsure = meta[2] ~= meta[3]
local partly = meta[2] and not unsure and call('SMISMEMBER', KEYS[3], unpack(items))

-- The n users behind ARGV[at], of an item that may be partly resident.
local function part(likers, at, n)
  local ask = {'%'}
  for i = 1, n do
    ask[2 * i], ask[2 * i + 1] = ARGV[at + i], '%' .. ARGV[at + i]
  end
  local is, out = pcall('SMISMEMBER', likers, unpack(ask)), {}
  if is.err then return rep('e', n) end
  for i = 1, n do
    out[i] = is[2 * i] == 1 and '1' or is[1] == 1 and is[2 * i + 1] == 0 and 'u' or '0'
  end
  return concat(out)
end

local liked, idle, sizes, at = {}, {}, ARGV[2], 2
for g = 1, G do
  local n, likers = byte(sizes, g), KEYS[3 + g]
  if not counts[g] then
    counts[g], liked[g] = '', rep('c', n)
  elseif n == 0 then
    liked[g], idle[#idle + 1] = '', likers
  elseif unsure or partly and partly[g] == 1 then
    liked[g] = part(likers, at, n)
  elseif n == 1 then
    local is = pcall('SISMEMBER', likers, ARGV[at + 1])
    liked[g] = type(is) == 'table' and 'e' or is
  else
    local is = pcall('SMISMEMBER', likers, unpack(ARGV, at + 1, at + n))
    liked[g] = is.err and rep('e', n) or concat(is)
  end
  at = at + n
end
if #idle > 0 then call('TOUCH', unpack(idle)) end
return {concat(liked), concat(counts, '\n')}
