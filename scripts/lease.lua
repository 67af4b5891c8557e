-- Ask for the right to load cold items from the ledger.
--
-- KEYS  1 meta   2 counts   3 claims   4.. lease, one per item
-- ARGV  1 shards   2 token   3 lease time in ms   4.. the item ids
--
-- Returns {'closed'}  or {gen, states}: the shard's generation and one letter per
-- item: r resident already, w the lease is ours, h somebody else holds it, or an import
-- has claimed the item (claim.lua).
--
-- A lease that is there with our own token is ours: the answer that gave it was
-- lost. While a lease is held nobody else can make the item resident, so what its
-- holder reads in the ledger afterwards is still true when it installs it.
local meta = redis.call('HMGET', KEYS[1], 'shards', 'gen')
if meta[1] ~= ARGV[1] then return {'closed'} end
local marks = redis.call('HMGET', KEYS[2], unpack(ARGV, 4))
local states = {}
for i = 1, #KEYS - 3 do
  if marks[i] then
    states[i] = 'r'
  elseif claimed(KEYS[3], ARGV[3 + i]) then
    states[i] = 'h'
  else
    local holder = redis.call('GET', KEYS[3 + i])
    if not holder or holder == ARGV[2] then
      redis.call('SET', KEYS[3 + i], ARGV[2], 'PX', ARGV[3])
      states[i] = 'w'
    else
      states[i] = 'h'
    end
  end
end
return {meta[2], table.concat(states)}
