-- Reserve units of users' quotas, and end reservations: try, confirm, cancel. The
-- users of a call are of one shard; a unit is one like in the window that is now.
--
-- KEYS  1 quota, a hash: user → units used in its window, '%w' → "start length" of
--       that window in ms, '%' and more → marks of giveback.lua. No id holds a '%'.
--       2 reserved, a stream: an entry per call that has granted units, with the
--       window's start as field and the users as value
-- ARGV  1 units of each user   2 length of the window in ms   3 for how long a
--       reservation may be used, and 4 after what time it is given back, both in ms;
--       0: no look for such ones now
--       5 how many users want a unit   6 how many give back one that they had used
--       7 slip, the field of quota ('%' and more) for what the first of these are told
--       8 a number that no other call has used with that slip   9.. the former, the
--       latter, and four per reservation that ends: its id, the start of its window,
--       the users who did not use their unit, and those of whom nobody knows; the unit
--       of all others is used for good
--
-- Returns {id, lefts, start, ends, expired}: the reservation ('' when nobody got a
-- unit); per user who wants one how many are left then, -1 when there was none; the
-- window's start, the ms until its end; how many units were given back because nobody
-- had ended their reservation.
--
-- The slip is for like.lua, which comes right behind: "number until", the time in ms
-- after which a unit must not be used any more, and, unless everybody got one, a letter
-- for each: + got one, - did not.
--
-- All times are this server's. Whatever was reserved in another window than that of
-- the hash has gone with it. An end works only while the reservation is there, so a
-- repeated one does nothing. Memory may be refused for the first write alone: the
-- reservation comes before the units that it names.
local quota, reserved = KEYS[1], KEYS[2]
local call, format = redis.call, string.format
local units, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local wants, refunds = tonumber(ARGV[5]), tonumber(ARGV[6])

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local start = now - now % length
-- What the users of ARGV have used, behind the stamp: read once more when something
-- was given back.
local was = call('HMGET', quota, '%w', unpack(ARGV, 9, 8 + wants))
local stamp, given = was[1], 0
if stamp == format('%d %d', start + length, length) then
  start = start + length -- the clock was set back: the window goes on
end
local mine = format('%d %d', start, length)
local word = format('%d', start) -- how the window is named elsewhere

-- To spell a number costs more than all else that is done for a user, and most users
-- have few.
local text = setmetatable({}, { __index = function(t, n)
  t[n] = format('%d', n)
  return t[n]
end })

local function give(user)
  local used = call('HGET', quota, user)
  if not used or used == '0' then return 0 end
  call('HINCRBY', quota, user, -1)
  given = given + 1
  return 1
end

local function each(users, f)
  local n = 0
  for user in string.gmatch(users, '%S+') do n = n + f(user) end
  return n
end

if stamp ~= mine then
  if stamp then call('UNLINK', quota) end
  stamp = nil
end

for i = 9 + wants + refunds, #ARGV, 4 do
  if call('XDEL', reserved, ARGV[i]) == 1 and ARGV[i + 1] == word and stamp then
    if ARGV[i + 3] ~= '' then call('XADD', reserved, '*', word, ARGV[i + 3]) end
    each(ARGV[i + 2], give)
  end
end

local expired = 0
local old = ARGV[4] ~= '0' and call('XRANGE', reserved, '-', format('%d', now - tonumber(ARGV[4])), 'COUNT', 1)[1]
if old then
  call('XDEL', reserved, old[1])
  if old[2][1] == word and stamp then expired = each(old[2][2], give) end
end

for i = 9 + wants, 8 + wants + refunds do
  if stamp then give(ARGV[i]) end
end

local ends, id, lefts = start + length, '', {}
if wants > 0 then
  if not stamp then
    was = {}
  elseif given > 0 then
    was = call('HMGET', quota, '%w', unpack(ARGV, 9, 8 + wants))
  end
  local used, granted, moves, n = {}, {}, {}, 0
  for i = 1, wants do
    local user = ARGV[8 + i]
    local have = used[user] or was[i + 1] and tonumber(was[i + 1]) or 0
    if have < units then
      have, n = have + 1, n + 1
      used[user], granted[n] = have, user
      moves[2 * n - 1], moves[2 * n] = user, text[have]
      lefts[i] = text[units - have]
    else
      lefts[i] = '-1'
    end
  end
  local slip = format('%s %d', ARGV[8], math.min(ends, now + tonumber(ARGV[3])))
  if n < wants then
    local letters = {}
    for i = 1, wants do letters[i] = lefts[i] == '-1' and '-' or '+' end
    slip = slip .. ' ' .. table.concat(letters)
  end
  if n > 0 then id = call('XADD', reserved, '*', word, table.concat(granted, ' ')) end
  moves[2 * n + 1], moves[2 * n + 2] = ARGV[7], slip
  call('HSET', quota, unpack(moves, 1, 2 * n + 2))
  if not stamp then
    call('HSET', quota, '%w', mine)
    -- One window longer than it counts: who comes next drops it without a pause.
    call('PEXPIREAT', quota, format('%d', start + 2 * length))
  end
end
return { id, table.concat(lefts, ' '), word, format('%d', ends - now), tostring(expired) }
