-- Shared by other scripts; put in front of them.
--
-- last(log) is the last id that a log has given, whether or not its entry is left.
local function last(log)
  local info = redis.pcall('XINFO', 'STREAM', log)
  if not info.err then
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then return info[i + 1] end
    end
  end
  return '0-0'
end

-- above(a, b) reports whether the log id a comes after b.
local function above(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams > bms or ams == bms and aseq > bseq
end

-- claimed(claims, item) tells whether an import has claimed an item (claim.lua).
local function claimed(claims, item)
  local claim = redis.call('HGET', claims, item)
  if not claim then return false end
  local now = redis.call('TIME')
  return tonumber(string.match(claim, '^%d+')) > now[1] * 1000 + now[2] / 1000
end

-- total(votes, item) is the sum of an item's votes, nil when it can't be read.
local function total(votes, item)
  local text = redis.pcall('HGET', votes, item) or '0'
  return type(text) == 'string' and #text < 16 and tonumber(text) or nil
end

-- lapse(meta, id) says that what became of a vote by the entry id is not known any
-- more: an answer of the ledger from before it had that entry is too old by now.
local function lapse(meta, id)
  local lapsed = redis.call('HGET', meta, 'lapsed')
  if not lapsed or above(id, lapsed) then redis.call('HSET', meta, 'lapsed', id) end
end

-- told(log, from, item) returns what the entries with an id from `from` on say of
-- an item: user → '+' or '-', the last one counts; votes are there, too, as
-- '%weight%ref'. nil when there are more entries
-- than one call may look at (500).
local function told(log, from, item)
  local entries = redis.call('XRANGE', log, from, '+', 'COUNT', 501)
  if #entries > 500 then return nil end
  local said = {}
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    if fields[1] == 'd' then
      local text = '\n' .. fields[2] .. '\n'
      local head = '\n' .. item .. ' '
      local from, to = string.find(text, head, 1, true)
      while from do
        local stop = string.find(text, '\n', to, true)
        for sign, user in string.gmatch(string.sub(text, to, stop - 1), '([+-])(%S+)') do said[user] = sign end
        from, to = string.find(text, head, stop, true)
      end
    end
  end
  return said
end

-- named(log, from, item, user) tells whether those entries name the pair (or,
-- without a user, the item): 'yes', 'no', or 'many' when they are too many.
local function named(log, from, item, user)
  local said = told(log, from, item)
  if not said then return 'many' end
  if user then return said[user] and 'yes' or 'no' end
  return next(said) and 'yes' or 'no'
end

-- forgot(meta) says that something which was known of a partly resident item is not
-- known any more: an answer of the ledger from before may be too old by now.
--
-- The set `partly` names at least the items that are resident partly: who makes one
-- so puts it there and says forgot in the same script. A plusone from before there
-- was that set moves only `forgot`, so where `marked` differs from it the set may
-- lack items, until the shard is opened anew.
local function forgot(meta)
  redis.call('HINCRBY', meta, 'forgot', 1)
  redis.call('HINCRBY', meta, 'marked', 1)
end
