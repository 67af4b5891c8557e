-- Read counts, and who likes what, of one shard; atomic, so that a set is
-- never looked at without its item's mark.
--
-- KEYS  1 meta   2 counts   3 partly   4.. likers, one set per question: the item's id
--       is what follows "likers:"
-- ARGV  1 shards   2.. the user of each question, '' when nobody asks
--
-- Returns {'closed'}  the shard is not open for this number of shards
--         {liked, count…}  one letter per question: 1 liked, 0 not, - nobody
--         asked, c item is cold, u user is unknown (like.lua tells when), e the
--         set can't be read; and its count
--
-- Every set is touched, if only to look into it, so that OBJECT IDLETIME tells of
-- reads, too.
local G = #KEYS - 3
local meta = redis.call('HMGET', KEYS[1], 'shards', 'forgot', 'marked')
if meta[1] ~= ARGV[1] then return {'closed'} end

local items, from = {}, #KEYS[2] + 2 -- where the id begins in the name of an item's set
for g = 1, G do items[g] = string.sub(KEYS[3 + g], from) end
local marks = redis.call('HMGET', KEYS[2], unpack(items))
-- Who is partly resident; when that can't be relied on, every set is asked.
local unsure = meta[2] ~= meta[3]
local partly = meta[2] and not unsure and redis.call('SMISMEMBER', KEYS[3], unpack(items))

local function answer(likers, user, part)
  if not part then
    local is = redis.pcall('SISMEMBER', likers, user)
    return is == 1 and '1' or is == 0 and '0' or 'e'
  end
  local is = redis.pcall('SMISMEMBER', likers, user, '%', '%' .. user)
  if is.err then return 'e' end
  return is[1] == 1 and '1' or is[2] == 1 and is[3] == 0 and 'u' or '0'
end

local liked, reply, idle = {}, {''}, {}
for g = 1, G do
  local user, mark = ARGV[1 + g], marks[g]
  reply[1 + g] = mark or '0'
  if not mark then
    liked[g] = 'c'
  elseif user == '' then
    liked[g], idle[#idle + 1] = '-', KEYS[3 + g]
  else
    liked[g] = answer(KEYS[3 + g], user, unsure or partly and partly[g] == 1)
  end
end
if #idle > 0 then redis.call('TOUCH', unpack(idle)) end
reply[1] = table.concat(liked)
return reply
