-- Read counts, and who likes what, of one shard; atomic, so that a set is
-- never looked at without its item's mark.
--
-- KEYS  1 meta   2 counts   3.. likers, one set per question
-- ARGV  1 shards   then, for G = #KEYS-2 questions: G item ids, G user ids
--       ('' when nobody asks)
--
-- Returns {'closed'}  the shard is not open for this number of shards
--         {liked, count…}  one letter per question: 1 liked, 0 not, - nobody
--         asked, c item is cold, u user is unknown (like.lua tells when), e the
--         set can't be read; and its count
--
-- Every set is touched, so that OBJECT IDLETIME tells of reads, too.
local G = #KEYS - 2
if redis.call('HGET', KEYS[1], 'shards') ~= ARGV[1] then return {'closed'} end

local marks = redis.call('HMGET', KEYS[2], unpack(ARGV, 2, 1 + G))
local liked, reply = {}, {''}
for g = 1, G do
  local user, mark = ARGV[1 + G + g], marks[g]
  local letter = '-'
  if not mark then
    letter = 'c'
  elseif user ~= '' then
    local is = redis.pcall('SMISMEMBER', KEYS[2 + g], user, '%', '%' .. user)
    if is.err then
      letter = 'e'
    elseif is[1] == 0 and is[2] == 1 and is[3] == 0 then
      letter = 'u'
    else
      letter = tostring(is[1])
    end
  end
  liked[g], reply[1 + g] = letter, mark or '0'
end
if G > 0 then redis.call('TOUCH', unpack(KEYS, 3)) end
reply[1] = table.concat(liked)
return reply
