-- Apply the ops of one shard, in order, all or nothing per item.
--
-- KEYS  1 meta   2 counts   3 log   4.. likers, one set per item of this call
-- ARGV  1 shards   2 max_pending   3 the time after which the call must not be
--       applied, in ms of this server's clock; 0 for none
--       then, for G = #KEYS-3 items:
--       G item ids, G strings of wants (one of 0 1 ~ per op of that item: not
--       liked, liked, toggle), then the users of all ops, item after item
--
-- Returns {'closed'}  the shard is not open for this number of shards
--         {'full'}    the log holds max_pending entries or more
--         {'late'}    its time is over: nobody waits for the answer any more, and
--                     later ops may have been answered
--         {id, outcomes, start…}  id of the log entry ('' if nothing changed);
--         one letter per op: + liked now, - not liked now, L was liked already,
--         N was not liked already, c item is cold, u user is unknown, e refused;
--         and per item the count before the call (for e: the reason)
--
-- An item is resident wholly, or partly: then its set holds the member '%', the
-- users who are known to like it, and '%'..user for those who are known not to.
-- No id holds a '%'. Of anybody else the ledger must be asked first.
--
-- Nothing is undone in Redis when a script fails, so whatever may fail comes
-- first: the log is looked at before anything is written, an item's set is
-- read (wrong type) and its count moved (not a number, out of memory) before
-- the set changes. After the first write Redis refuses nothing for lack of
-- memory, so the log entry follows every change it names. For the same reason
-- the counts of items that were only liked, by people who had not, may be
-- written together behind their sets: they were read as plain numbers.
local counts, log = KEYS[2], KEYS[3]
local G = #KEYS - 3
local KEYS, ARGV = KEYS, ARGV
local call, pcall, byte, find, concat = redis.call, redis.pcall, string.byte, string.find, table.concat

if call('HGET', KEYS[1], 'shards') ~= ARGV[1] then return {'closed'} end
if call('XLEN', log) >= tonumber(ARGV[2]) then return {'full'} end
if ARGV[3] ~= '0' then
  local now = call('TIME')
  if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[3]) then return {'late'} end
end

local marks = call('HMGET', counts, unpack(ARGV, 4, 3 + G))
local outcomes, reply = {}, {'', ''}
local entry, e = {}, 0 -- pieces of the log entry, joined once; how many these are
local liked, l = {}, 0 -- items and their new counts, by turns; how many values these are
local at = 3 + 2 * G   -- ops before this item end here in ARGV

local nobody = {}

-- Of the n users who follow ARGV[at] and are not in the set of a partly resident
-- item: those who are not known to be rightly missing.
local function unknowns(likers, was, n)
  local missing, ask, unknown = {}, {}, {}
  for i = 1, n do
    if was[1 + i] == 0 then
      missing[#missing + 1] = ARGV[at + i]
      ask[#ask + 1] = '%' .. ARGV[at + i]
    end
  end
  if #ask == 0 then return nobody end
  local known = call('SMISMEMBER', likers, unpack(ask))
  for i, user in ipairs(missing) do
    if known[i] == 0 then unknown[user] = true end
  end
  return unknown
end

-- Say to the log that these users of an item changed: a line of its entry.
local function say(item, sign, users)
  entry[e + 1], entry[e + 2], entry[e + 3], entry[e + 4], e = '\n', item, sign, users, e + 4
end

-- Of the n users who follow ARGV[at], some of whom come twice: the outcomes of
-- their likes when nobody liked the item before, and the users, once.
local function once(n)
  local seen, out, users = {}, {}, {}
  for i = 1, n do
    local user = ARGV[at + i]
    out[i] = seen[user] and 'L' or '+'
    if not seen[user] then users[#users + 1] = user end
    seen[user] = true
  end
  return concat(out), concat(users, ' +')
end

-- The common case: n likes of a wholly resident item by users who do not like it
-- yet. Returns as apply does.
local function like(item, likers, mark, n)
  local added = pcall('SADD', likers, unpack(ARGV, at + 1, at + n))
  if type(added) == 'table' then return nil, added.err end
  liked[l + 1], liked[l + 2], l = item, string.format('%.0f', mark + added), l + 2
  if added == n then
    say(item, ' +', n == 1 and ARGV[at + 1] or concat(ARGV, ' +', at + 1, at + n))
    return n == 1 and '+' or string.rep('+', n)
  end
  local out, users = once(n)
  say(item, ' +', users)
  return out
end

-- Apply the n ops whose users follow ARGV[at] and say to the log what changed;
-- returns their outcomes, or nil and the reason.
local function apply(item, likers, mark, wants, n)
  if #mark > 15 or not tonumber(mark) then return nil, 'the stored count is no count' end
  local was = pcall('SMISMEMBER', likers, '%', unpack(ARGV, at + 1, at + n))
  if was.err then return nil, was.err end
  local partly = was[1] == 1
  if not partly and (wants == '1' or not find(wants, '[^1]')) then
    local there = 0
    for i = 2, n + 1 do there = there + was[i] end
    if there == n then return string.rep('L', n) end
    if there == 0 and (mark == '0' or find(mark, '^[1-9]%d*$')) then return like(item, likers, mark, n) end
  end
  local unknown = partly and unknowns(likers, was, n) or nobody

  local out, before, now, order = {}, {}, {}, {}
  for i = 1, n do
    local user, want = ARGV[at + i], byte(wants, i)
    local is = now[user] or was[1 + i]
    local to = want == 126 and 1 - is or want - 48
    if unknown[user] then
      out[i] = 'u'
    elseif to == is then
      out[i] = to == 1 and 'L' or 'N'
    else
      out[i] = to == 1 and '+' or '-'
      if not before[user] then
        before[user] = is
        order[#order + 1] = user
      end
      now[user] = to
    end
  end
  if #order == 0 then return concat(out) end

  local adds, removes, words = {}, {}, {}
  local moved = 0
  for i, user in ipairs(order) do
    local to = now[user]
    words[2 * i - 1], words[2 * i] = to == 1 and ' +' or ' -', user
    if to ~= before[user] then
      local list, other = adds, removes
      if to == 0 then list, other = removes, adds end
      list[#list + 1] = user
      if partly then other[#other + 1] = '%' .. user end
      moved = moved + to - before[user]
    end
  end
  if tonumber(mark) + moved < 0 then return nil, 'the stored count is below the number of likers' end
  if moved ~= 0 then
    local done = pcall('HINCRBY', counts, item, moved)
    if type(done) == 'table' then return nil, done.err end
  end
  if #adds > 0 then
    local done = pcall('SADD', likers, unpack(adds))
    if type(done) == 'table' then return nil, done.err end
  end
  if #removes > 0 then call('SREM', likers, unpack(removes)) end
  say(item, '', concat(words))
  return concat(out)
end

for g = 1, G do
  local wants, mark = ARGV[3 + G + g], marks[g]
  local n = #wants
  if not mark then
    outcomes[g], reply[2 + g] = string.rep('c', n), '0'
  else
    local out, reason = apply(ARGV[3 + g], KEYS[3 + g], mark, wants, n)
    outcomes[g], reply[2 + g] = out or string.rep('e', n), reason or mark
  end
  at = at + n
end
reply[2] = concat(outcomes)

if l > 0 then call('HSET', counts, unpack(liked, 1, l)) end

if e > 0 then
  local id = call('XADD', log, '*', 'd', concat(entry, '', 2))
  reply[1] = id
  -- A clock that stands still makes the sequence number grow; a version holds
  -- 20 bits of it. Step to the next millisecond long before they are used up.
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if tonumber(seq) > 1040000 then
    call('XADD', log, string.format('%.0f-0', tonumber(ms) + 1), 'm', 'step')
  end
end
return reply
