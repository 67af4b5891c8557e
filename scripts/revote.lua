-- Make the ledger and Redis agree on a vote of which Redis knows what became of it,
-- unless something has happened to it since.
--
-- KEYS  1 meta   2 log   3 refs (vote.lua tells what they hold)
-- ARGV  1 shards   2 what   3 item   4 ref   5 what became of the vote, as it was found
--   what: append  the ledger has lost it: log it again
--         forget  the ledger knows better: it will be asked
--
-- Returns 'done', 'kept' when it is no longer as it was found, or 'closed'.
local meta, log, refs = KEYS[1], KEYS[2], KEYS[3]
local item, field, became = ARGV[3], ARGV[3] .. ' ' .. ARGV[4], ARGV[5]
if redis.call('HGET', meta, 'shards') ~= ARGV[1] then return 'closed' end
if redis.call('HGET', refs, field) ~= became then return 'kept' end
local what, id = string.match(became, '^([+-]%d+) (%d+%-%d+)$')
if ARGV[2] == 'forget' then
  redis.call('HDEL', refs, field)
  if id then lapse(meta, id) end
  return 'done'
end
local sign, weight = string.sub(what, 1, 1), string.sub(what, 2)
local again = redis.call('XADD', log, '*', 'd', item .. ' ' .. sign .. '%' .. weight .. '%' .. ARGV[4])
redis.call('HSET', refs, field, what .. ' ' .. again)
return 'done'
