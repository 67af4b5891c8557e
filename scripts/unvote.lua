-- Take back what became of a vote, which the ledger refused for good.
--
-- KEYS  1 meta   2 counts   3 votes   4 refs (vote.lua tells what they hold)
-- ARGV  1 item   2 ref   3 what became of the vote by the refused change, with the
--       id of its entry   4 what that moved the count by
--
-- Returns 'undone', also when Redis knows nothing of it (it was undone before), or
-- 'kept' when something newer has happened to the vote. Nothing is appended to the
-- log: the ledger never had the change.
local item, field = ARGV[1], ARGV[1] .. ' ' .. ARGV[2]
local became = redis.call('HGET', KEYS[4], field)
if not became then return 'undone' end
if became ~= ARGV[3] then return 'kept' end
local by = -tonumber(ARGV[4])
if redis.call('HEXISTS', KEYS[2], item) == 1 and by ~= 0 then
  -- Numbers that can't be moved are damage, which the reconciler mends.
  redis.pcall('HINCRBY', KEYS[2], item, string.format('%.0f', by))
  redis.pcall('HINCRBY', KEYS[3], item, string.format('%.0f', by))
end
redis.call('HDEL', KEYS[4], field)
lapse(KEYS[1], string.match(became, '%S+$'))
return 'undone'
