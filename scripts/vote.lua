-- Count votes of one shard, or give them back, each ref of an item once.
--
-- KEYS  1 meta   2 counts   3 log   4 votes: item → the sum of its votes that count,
--       a part of its count   5 refs: "item ref" → what became of the vote
-- ARGV  1 shards   2 max_pending   3 the time after which the call must not be
--       applied, in ms of this server's clock; 0 for none
--       4 the watermark (log id) when the ledger was asked   5 how many refs are kept
--       6 what an item may count at most; then five per vote: item, ref, want,
--       weight, and what the ledger says of the ref ('' when it has none)
--   want: + count it, - give it back, ? only tell
--   what became of a vote: "+5 1795246582056-0" counts with 5, "-5 …" was given back,
--       by the entry of that id; "-0 …" was given back before it came
--
-- Returns {'closed'}, {'full'} or {'late'}, see like.lua
--         {'done', a line per vote}, which begins with
--   k  followed by what became of the vote, and what the item counts
--   n  there is no such vote
--   x  the vote has another weight, which follows
--   b  the item would count more than it may
--   f  the item is frozen (freeze.lua): what counts already stays, and may be given back
--   c  the item is cold
--   a  ask the ledger again: what was forgotten since may be newer than its answer
--   e  what Redis has of it can't be read, and the reason
--
-- Refs that are not in refs are looked up in the ledger: always before the call,
-- since nobody knows whether they will be. Forgotten is only what the log does not
-- hold any more, so the ledger has it; meta's `lapsed` is the last id of those.
--
-- The log entry comes first, and alone may be refused (out of memory, wrong type):
-- all else was read with its type, and after the first write Redis refuses nothing
-- for lack of memory.
local meta, counts, log, votes, refs = unpack(KEYS)
local call, pcall, match = redis.call, redis.pcall, string.match

local is = call('HMGET', meta, 'shards', 'lapsed', 'frozen')
if is[1] ~= ARGV[1] then return {'closed'} end
if call('XLEN', log) >= tonumber(ARGV[2]) then return {'full'} end
if ARGV[3] ~= '0' then
  local now = call('TIME')
  if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[3]) then return {'late'} end
end
local knows = not (is[2] and above(is[2], ARGV[4])) -- the ledger's answers are good
local keep, most = tonumber(ARGV[5]), tonumber(ARGV[6])

-- The number that a field holds, or nil and a reason.
local function number(hash, field, missing)
  local text = pcall('HGET', hash, field)
  if not text and missing then text = missing end
  if type(text) ~= 'string' or #text > 15 or text ~= '0' and not match(text, '^[1-9]%d*$') then
    return nil, text and 'e what the item counts is no count' or 'c'
  end
  return tonumber(text)
end

-- Append an entry; a clock that stands still must not use up the 20 bits that a
-- version has for the sequence number, see like.lua.
local function append(text)
  local id = pcall('XADD', log, '*', 'd', text)
  if type(id) == 'table' then return nil, 'e ' .. id.err end
  local ms, seq = match(id, '^(%d+)-(%d+)$')
  if tonumber(seq) > 1040000 then
    call('XADD', log, string.format('%.0f-0', tonumber(ms) + 1), 'm', 'step')
  end
  return id
end

local changed = false

-- Make a vote what sign and weight say, which moves the count by so much.
local function move(item, ref, sign, weight, by)
  local count, why = number(counts, item)
  if not count then return why end
  local sum
  sum, why = number(votes, item, '0')
  if not sum then return why end
  if by > 0 and count + by > most then return 'b' end
  if sum + by < 0 or count + by < 0 then return 'e what the item counts is less than its votes' end
  local id
  id, why = append(item .. ' ' .. sign .. '%' .. weight .. '%' .. ref)
  if not id then return why end
  local became, now = sign .. weight .. ' ' .. id, string.format('%.0f', count + by)
  if by ~= 0 then
    call('HSET', counts, item, now)
    call('HSET', votes, item, string.format('%.0f', sum + by))
  end
  call('HSET', refs, item .. ' ' .. ref, became)
  changed = true
  return 'k ' .. became .. ' ' .. now
end

local function vote(item, ref, want, weight, told)
  local became = pcall('HGET', refs, item .. ' ' .. ref)
  if type(became) == 'table' then return 'e ' .. became.err end
  if not became then
    if not knows then return 'a' end
    became = told ~= '' and told
  end
  if not became then
    if want == '?' then return 'n' end
    if want == '+' and is[3] and call('HEXISTS', meta, 'frozen:' .. item) == 1 then return 'f' end
    if want == '+' then return move(item, ref, '+', weight, tonumber(weight)) end
    return move(item, ref, '-', '0', 0)
  end
  local sign, has = match(became, '^([+-])(%d+) %d+%-%d+$')
  if not sign then return 'e what became of the vote can\'t be read' end
  if want == '+' and has ~= weight and has ~= '0' then return 'x ' .. became end
  if want == '-' and sign == '+' then return move(item, ref, '-', has, -tonumber(has)) end
  local count, why = number(counts, item)
  if not count and want ~= '?' then return why end
  return 'k ' .. became .. ' ' .. string.format('%.0f', count or 0)
end

local lines = {'done'}
for i = 7, #ARGV, 5 do
  lines[#lines + 1] = vote(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end

-- Forget some refs when there are too many: any that the log does not hold.
local size = changed and call('HLEN', refs) or 0
if size > keep then
  local some = call('HRANDFIELD', refs, math.min(size - keep + 256, 1024))
  local oldest = call('XRANGE', log, '-', '+', 'COUNT', 1)[1][1]
  for i, became in ipairs(call('HMGET', refs, unpack(some))) do
    local id = match(became, ' (%d+%-%d+)$')
    if id and above(oldest, id) then
      call('HDEL', refs, some[i])
      lapse(meta, id)
    end
  end
end
return lines
