-- Make loaded items resident.
--
-- KEYS  1 meta   2 counts   then three per item: lease, loaded (temporary set,
--       absent when nobody likes the item), likers
-- ARGV  1 generation   2 token   then two per item: item id, number of likers
--
-- Returns one letter per item: i installed, r resident already, x refused (the
-- shard was reopened, the lease has run out, or the temporary set is incomplete).
local fit = redis.call('HGET', KEYS[1], 'gen') == ARGV[1]
local states = {}
for i = 1, (#KEYS - 2) / 3 do
  local lease, loaded, likers = unpack(KEYS, 3 * i, 3 * i + 2)
  local item, n = ARGV[1 + 2 * i], tonumber(ARGV[2 + 2 * i])
  if redis.call('HEXISTS', KEYS[2], item) == 1 then
    states[i] = 'r'
  elseif not fit or redis.call('GET', lease) ~= ARGV[2] or redis.call('SCARD', loaded) ~= n then
    states[i] = 'x'
  else
    redis.call('HSET', KEYS[2], item, n) -- may lack memory: before anything else changes
    redis.call('UNLINK', likers)         -- RENAME would free it on the spot
    if n > 0 then
      redis.call('RENAME', loaded, likers)
      redis.call('PERSIST', likers)
    end
    states[i] = 'i'
  end
  if states[i] ~= 'i' then redis.call('UNLINK', loaded) end
  if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
end
return table.concat(states)
