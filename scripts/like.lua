-- Apply the ops of one shard, in order, all or nothing per item.
--
-- KEYS  1 meta   2 counts   3 log   4 partly   5.. a quota for each slip, and likers,
--       one set per item of this call, each item once: its id is what follows "likers:"
-- ARGV  1 shards   2 max_pending   3 the time after which the call must not be
--       applied, in ms of this server's clock; 0 for none
--       4 wants, a letter per op, item after item: l like, u unlike, t toggle, k keep
--       (only tell); in upper case where another item begins   5 slips, how many; if
--       any, the number that they must have, six digits per op: which slip and which
--       letter of it is the op's, 0 0 where it needs none; and their fields
--       then the users of the ops
--
-- Returns {'closed'}  the shard is not open for this number of shards
--         {'full'}    the log holds max_pending entries or more
--         {'late'}    its time is over: nobody waits for the answer any more, and
--                     later ops may have been answered
--         {'unreserved'}  a slip is not there, or its time is over
--         {id, outcomes, starts}  id of the log entry ('' if nothing changed);
--         one letter per op: + liked now, - not liked now, L was liked already,
--         N was not liked already, c item is cold, u user is unknown, f item is
--         frozen, e refused; and a line per item: the count before the call (for e: the reason)
--
-- An item is resident wholly, or partly: then its set holds the member '%', the
-- users who are known to like it, and '%'..user for those who are known not to.
-- No id holds a '%'. Of anybody else the ledger must be asked first. Partly resident
-- items are also named in the set `partly` (shared.lua), so that all others are
-- liked without a look; when that can't be relied on every set is looked into.
--
-- With a quota each like and toggle has a letter on a slip that quota.lua has left
-- just before. Where that says no a like only tells, and a toggle may only unlike.
--
-- A frozen item (freeze.lua) takes no like that would change it; whatever else is
-- asked of it goes its way. Only a shard that has frozen items looks which they are.
--
-- Nothing is undone in Redis when a script fails, so whatever may fail comes
-- first. An item's first write is to its set: it may be refused (wrong type, out of
-- memory), and then nothing of the item has changed. After the first write Redis
-- refuses nothing for lack of memory, so the log entry follows every change it
-- names, and so do the counts, which were read as plain numbers.
local counts, log = KEYS[2], KEYS[3]
local KEYS, ARGV = KEYS, ARGV
local call, pcall, concat = redis.call, redis.pcall, table.concat
local find, rep, sub = string.find, string.rep, string.sub
local slips = tonumber(ARGV[5])
local K = 4 + slips -- keys before the sets
local G = #KEYS - K

local meta = call('HMGET', KEYS[1], 'shards', 'forgot', 'marked', 'frozen')
if meta[1] ~= ARGV[1] then return {'closed'} end
if call('XLEN', log) >= tonumber(ARGV[2]) then return {'full'} end
local now = 0
if ARGV[3] ~= '0' or slips > 0 then
  local time = call('TIME')
  now = time[1] * 1000 + time[2] / 1000
  if ARGV[3] ~= '0' and now > tonumber(ARGV[3]) then return {'late'} end
end

-- What ops want, as far as the slips allow; nil when one is not there.
local function allowed()
  local letters, refused = {}, false
  for i = 1, slips do
    local slip = pcall('HGET', KEYS[4 + i], ARGV[7 + i])
    if type(slip) ~= 'string' then return end
    local number, til, some = string.match(slip, '^(%d+) (%d+) ?(.*)$')
    if number ~= ARGV[6] or now > tonumber(til) then return end
    letters[i], refused = some, refused or some ~= ''
  end
  if not refused then return ARGV[4] end
  local less, wants = {l = 'k', L = 'K', t = 'u', T = 'U'}, {}
  for i = 1, #ARGV[4] do
    local want, place = sub(ARGV[4], i, i), 6 * i
    local slip, nth = tonumber(sub(ARGV[7], place - 5, place - 3)), tonumber(sub(ARGV[7], place - 2, place))
    if slip > 0 and sub(letters[slip], nth, nth) == '-' then want = less[want] end
    wants[i] = want
  end
  return concat(wants)
end

local wanted = ARGV[4]
if slips > 0 then wanted = allowed() end
if not wanted then return {'unreserved'} end

local items, from = {}, #counts + 2 -- where the id begins in the name of an item's set
for g = 1, G do items[g] = sub(KEYS[K + g], from) end
local starts = call('HMGET', counts, unpack(items))
local unsure = meta[2] ~= meta[3]
local partly = meta[2] and not unsure and call('SMISMEMBER', KEYS[4], unpack(items))
local frozen = meta[4] and {}
if frozen then
  for g = 1, G do frozen[g] = 'frozen:' .. items[g] end
  frozen = call('HMGET', KEYS[1], unpack(frozen))
end

local outcomes = {}
local entry, e = {}, 0 -- pieces of the log entry, joined once; how many these are
local moved, m = {}, 0 -- items and their new counts, by turns; how many values these are
local at = slips > 0 and 7 + slips or 5 -- ops before this item end here in ARGV

-- Note that these users of an item changed, and its count by so much.
local function note(item, start, by, sign, users)
  moved[m + 1], moved[m + 2], m = item, start + by, m + 2
  entry[e + 1], entry[e + 2], entry[e + 3], entry[e + 4], e = '\n', item, sign, users, e + 4
end

-- The ways to apply the n ops whose users follow ARGV[at] to an item: each returns
-- their outcomes, or nil, with a reason when they are refused. Without one it has
-- done nothing, and another way may.

-- One op on a wholly resident item.
local function one(item, likers, start, want)
  local user = ARGV[at + 1]
  if want ~= 'U' then
    if want == 'T' and start == '0' or want == 'K' then return end
    local added = pcall('SADD', likers, user)
    if added == 1 then
      note(item, start, 1, ' +', user)
      return '+'
    end
    if added ~= 0 then return end
    if want == 'L' then return 'L' end
  elseif start == '0' then
    return
  end
  local removed = pcall('SREM', likers, user)
  if removed == 1 then
    note(item, start, -1, ' -', user)
    return '-'
  end
  if removed == 0 then return 'N' end
end

-- Two likes of a wholly resident item.
local function two(item, likers, start)
  local user, other = ARGV[at + 1], ARGV[at + 2]
  if user == other then return end
  local a, b = pcall('SADD', likers, user), pcall('SADD', likers, other)
  if type(a) == 'table' then return end -- b is one, too
  if a + b == 2 then
    note(item, start, 2, ' +', user .. ' +' .. other)
  elseif a + b == 1 then
    note(item, start, 1, ' +', a == 1 and user or other)
  end
  return (a == 1 and '+' or 'L') .. (b == 1 and '+' or 'L')
end

-- Likes alone (to = 1), or unlikes alone (to = 0), of a wholly resident item, of
-- which `there` name a user who is in its set: if that is none, or all.
local function all(item, likers, start, n, there, to)
  local write, done, kept, by = 'SADD', '+', 'L', 1
  if to == 0 then write, done, kept, by, there = 'SREM', '-', 'N', -1, n - there end
  if there == n then return rep(kept, n) end
  if there > 0 then return end
  local moves = pcall(write, likers, unpack(ARGV, at + 1, at + n))
  if type(moves) == 'table' then return nil, moves.err end
  if moves == n then
    note(item, start, by * n, ' ' .. done, concat(ARGV, ' ' .. done, at + 1, at + n))
    return rep(done, n)
  end
  local seen, out, users = {}, {}, {} -- somebody comes twice
  for i = 1, n do
    local user = ARGV[at + i]
    out[i] = seen[user] and kept or done
    if not seen[user] then users[#users + 1] = user end
    seen[user] = true
  end
  note(item, start, by * moves, ' ' .. done, concat(users, ' ' .. done))
  return concat(out)
end

-- Of users who are not in the set of a partly resident item: those who are not
-- known to be rightly missing.
local function unknowns(likers, was, n)
  local missing, ask, unknown = {}, {}, {}
  for i = 1, n do
    if was[i] == 0 then
      missing[#missing + 1] = ARGV[at + i]
      ask[#ask + 1] = '%' .. ARGV[at + i]
    end
  end
  if #ask == 0 then return unknown end
  local known = call('SMISMEMBER', likers, unpack(ask))
  for i, user in ipairs(missing) do
    if known[i] == 0 then unknown[user] = true end
  end
  return unknown
end

-- Make users of an item what now says, unless it is what they were before, and note
-- all of them.
local function write(item, likers, start, order, before, now, part)
  local adds, removes, words, by = {}, {}, {}, 0
  for i, user in ipairs(order) do
    local to = now[user]
    words[2 * i - 1], words[2 * i] = to == 1 and ' +' or ' -', user
    if to ~= before[user] then
      local list, other = adds, removes
      if to == 0 then list, other = removes, adds end
      list[#list + 1] = user
      if part then other[#other + 1] = '%' .. user end
      by = by + to - before[user]
    end
  end
  if start + by < 0 then return 'the stored count is below the number of likers' end
  if #adds > 0 then
    local done = pcall('SADD', likers, unpack(adds))
    if type(done) == 'table' then return done.err end
  end
  if #removes > 0 then call('SREM', likers, unpack(removes)) end
  note(item, start, by, '', concat(words))
end

-- Any ops, one after the other in mind; was tells who is in the set.
local function mixed(item, likers, start, wants, n, was, part, ice)
  local unknown = part and unknowns(likers, was, n) or {}
  local out, before, now, order = {}, {}, {}, {}
  for i = 1, n do
    local user, want = ARGV[at + i], sub(wants, i, i)
    local is = now[user] or was[i]
    local to = want == 'l' and 1 or want == 'u' and 0 or want == 't' and 1 - is or is
    if unknown[user] then
      out[i] = 'u'
    elseif to == is then
      out[i] = to == 1 and 'L' or 'N'
    elseif ice and to == 1 then
      out[i] = 'f'
    else
      out[i] = to == 1 and '+' or '-'
      if not before[user] then
        before[user] = is
        order[#order + 1] = user
      end
      now[user] = to
    end
  end
  local reason = #order > 0 and write(item, likers, start, order, before, now, part)
  if reason then return nil, reason end
  return concat(out)
end

-- Any ops, with a look into the set first.
local function any(item, likers, start, wants, n, part, ice)
  local was = pcall('SMISMEMBER', likers, unpack(ARGV, at + 1, at + n))
  if was.err then return nil, was.err end
  if part then part = call('SISMEMBER', likers, '%') == 1 end
  wants = string.lower(wants)
  local to = not find(wants, '[^l]') and 1 or not find(wants, '[^u]') and tonumber(start) >= n and 0
  if to and not part and not (ice and to == 1) then
    local there = 0
    for i = 1, n do there = there + was[i] end
    local out, reason = all(item, likers, start, n, there, to)
    if out or reason then return out, reason end
  end
  return mixed(item, likers, start, wants, n, was, part, ice)
end

local g = 0
for wants in string.gmatch(wanted, '%u%l*') do
  g = g + 1
  local start, n, out, reason = starts[g], #wants, nil, nil
  if not start then
    out = rep('c', n)
    starts[g] = '0'
  elseif #start > 15 or start ~= '0' and not find(start, '^[1-9]%d*$') then
    reason = 'the stored count is no count'
  else
    local part, ice = unsure or partly and partly[g] == 1, frozen and frozen[g]
    if not part and not ice then
      if n == 1 then
        out = one(items[g], KEYS[K + g], start, wants)
      elseif wants == 'Ll' then
        out = two(items[g], KEYS[K + g], start)
      end
    end
    if not out then out, reason = any(items[g], KEYS[K + g], start, wants, n, part, ice) end
  end
  if reason then
    out = rep('e', n)
    starts[g] = reason
  end
  outcomes[g] = out
  at = at + n
end

if m > 0 then call('HSET', counts, unpack(moved, 1, m)) end

local id = ''
if e > 0 then
  id = call('XADD', log, '*', 'd', concat(entry, '', 2))
  -- A clock that stands still makes the sequence number grow; a version holds
  -- 20 bits of it. Step to the next millisecond long before they are used up.
  if not find(id, '-', -7, true) then
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    if tonumber(seq) > 1040000 then
      call('XADD', log, string.format('%.0f-0', tonumber(ms) + 1), 'm', 'step')
    end
  end
end
return {id, concat(outcomes), concat(starts, '\n')}
