-- Bring a shard what the ledger says of frozen items, change after change.
--
-- KEYS  1 meta
-- ARGV  1 the mark that the shard has, '' for none   2 the mark that it shall have
--       3 1: first forget all frozen items, the shard has them of another layout
--       4.. two per change, in their order: item, and 1 for frozen, 0 for not
--
-- Returns 1, or 0 when the shard has another mark by now.
--
-- A frozen item is a field "frozen:<item>" of meta, `frozen` tells how many there
-- are and is missing when there is none, and the mark is `froze`. All goes with the
-- shard: who closes one closes it for likes, and it opens only with the ledger's mark.
local meta = KEYS[1]
if (redis.call('HGET', meta, 'froze') or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '1' then
  for _, field in ipairs(redis.call('HKEYS', meta)) do
    if string.find(field, '^frozen') then redis.call('HDEL', meta, field) end
  end
end
local by = 0
for i = 4, #ARGV, 2 do
  local field = 'frozen:' .. ARGV[i]
  if ARGV[i + 1] == '1' then
    by = by + redis.call('HSET', meta, field, '1')
  else
    by = by - redis.call('HDEL', meta, field)
  end
end
if by ~= 0 and redis.call('HINCRBY', meta, 'frozen', by) == 0 then redis.call('HDEL', meta, 'frozen') end
redis.call('HSET', meta, 'froze', ARGV[2])
return 1
