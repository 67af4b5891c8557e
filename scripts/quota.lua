-- Reserve units of users' quotas, and end reservations: try, confirm, cancel. A call
-- has a part for each shard that its users are of; a unit is one like in the window
-- that is now.
--
-- KEYS  of each part two:
--       1 quota, a hash: user → units used in its window, '%w' → "start length" of
--       that window in ms, '%' and more → slips, and marks of giveback.lua. No id holds a '%'.
--       2 reserved, a stream: an entry per part of a call that has granted units, with the
--       window's start as field and the users as value
-- ARGV  1 units of each user   2 length of the window in ms   3 for how long a
--       reservation may be used, in ms   4 slip, a field of quota: what those who want
--       units are told   5 a number that no other call has used with that slip
--       and of each part: after what time a reservation is given back, in ms, 0: no
--       look for such ones now; how many users want a unit; how many give back one that
--       they had used; how many reservations end; the former users, the latter, and of
--       each reservation its id, the start of its window, the users who did not use
--       their unit, and those of whom nobody knows; the unit of all others is used for
--       good
--
-- Returns of each part five: the reservation ('' when nobody got a unit); per user who
-- wants one how many are left then, -1 when there was none; the window's start, the ms
-- until its end; how many units were given back because nobody had ended their
-- reservation. Or, of a part whose keys are not of these kinds, 'failed', a reason and
-- three empty ones: then it has left no slip.
--
-- The slip is for like.lua, which comes right behind: "number until", the time in ms
-- after which a unit must not be used any more, and, unless everybody got one, a letter
-- for each: + got one, - did not.
--
-- All times are this server's. Whatever was reserved in another window than that of
-- the hash has gone with it. An end works only while the reservation is there, so a
-- repeated one does nothing. Memory may be refused for the first write alone: a
-- reservation comes before the units that it names.
local KEYS, ARGV = KEYS, ARGV
local call, format, concat = redis.call, string.format, table.concat
local units, length = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- To spell a number costs more than all else that is done for a user, and most users
-- have few.
local text = setmetatable({}, { __index = function(t, n)
  t[n] = format('%d', n)
  return t[n]
end })

-- Give units of these users back, and tell how many.
local function give(quota, users)
  local n = 0
  for user in string.gmatch(users, '%S+') do
    local used = call('HGET', quota, user)
    if used and used ~= '0' then
      call('HINCRBY', quota, user, -1)
      n = n + 1
    end
  end
  return n
end

-- The part whose arguments begin behind at, where these many users and reservations are.
local function part(quota, reserved, at, wants, refunds, ends)
  local from, to = at + 5, at + 4 + wants -- who wants units
  -- What they have used, behind the stamp: read once more when something was given back.
  local was = call('HMGET', quota, '%w', unpack(ARGV, from, to))
  local stamp, start, given = was[1], now - now % length, 0
  if stamp == format('%d %d', start + length, length) then
    start = start + length -- the clock was set back: the window goes on
  end
  local mine = format('%d %d', start, length)
  local word = format('%d', start) -- how the window is named elsewhere
  if stamp ~= mine then
    if stamp then call('UNLINK', quota) end
    stamp = nil
  end

  for i = to + refunds + 1, to + refunds + 4 * ends, 4 do
    if call('XDEL', reserved, ARGV[i]) == 1 and ARGV[i + 1] == word and stamp then
      if ARGV[i + 3] ~= '' then call('XADD', reserved, '*', word, ARGV[i + 3]) end
      if ARGV[i + 2] ~= '' then given = given + give(quota, ARGV[i + 2]) end
    end
  end

  local expired, hold = 0, ARGV[at + 1]
  local old = hold ~= '0' and call('XRANGE', reserved, '-', format('%d', now - tonumber(hold)), 'COUNT', 1)[1]
  if old then
    call('XDEL', reserved, old[1])
    if old[2][1] == word then expired = give(quota, old[2][2]) end
  end

  for i = to + 1, to + refunds do
    given = given + give(quota, ARGV[i])
  end

  local over, id, lefts = start + length, '', {}
  if wants > 0 then
    if not stamp then
      was = {}
    elseif given + expired > 0 then
      was = call('HMGET', quota, '%w', unpack(ARGV, from, to))
    end
    local used, granted, moves, n = {}, {}, {}, 0
    for i = 1, wants do
      local user = ARGV[from + i - 1]
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
    local slip = format('%s %d', ARGV[5], math.min(over, now + tonumber(ARGV[3])))
    if n < wants then
      local letters = {}
      for i = 1, wants do letters[i] = lefts[i] == '-1' and '-' or '+' end
      slip = slip .. ' ' .. concat(letters)
    end
    if n > 0 then id = call('XADD', reserved, '*', word, concat(granted, ' ')) end
    moves[2 * n + 1], moves[2 * n + 2] = ARGV[4], slip
    call('HSET', quota, unpack(moves, 1, 2 * n + 2))
    if not stamp then
      call('HSET', quota, '%w', mine)
      -- One window longer than it counts: who comes next drops it without a pause.
      call('PEXPIREAT', quota, format('%d', start + 2 * length))
    end
  end
  return id, concat(lefts, ' '), word, format('%d', over - now), tostring(expired)
end

local reply, at = {}, 5 -- arguments before this part's end here
for k = 1, #KEYS, 2 do
  local wants, refunds, ends = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local r, done = #reply, nil
  done, reply[r + 1], reply[r + 2], reply[r + 3], reply[r + 4], reply[r + 5] =
    pcall(part, KEYS[k], KEYS[k + 1], at, wants, refunds, ends)
  if not done then
    local err = reply[r + 1]
    if type(err) == 'table' then err = err.err end
    if not string.find(err, 'WRONGTYPE', 1, true) then return redis.error_reply(err) end
    reply[r + 1], reply[r + 2], reply[r + 3], reply[r + 4], reply[r + 5] = 'failed', err, '', '', ''
  end
  at = at + 4 + wants + refunds + 4 * ends
end
return reply
