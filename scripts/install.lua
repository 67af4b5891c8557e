-- Make loaded items resident.
--
-- KEYS  1 meta   2 counts   3 partly   4 votes   then three per item: lease, loaded
--       (temporary set, absent when nobody likes the item), likers
-- ARGV  1 generation   2 token   then four per item: item id, its count, the number
--       of likers that were loaded, and the sum of its votes, '' when it never had
--       any; % for a number makes the item partly resident (like.lua tells what that
--       is), with nobody known
--
-- Returns one letter per item: i installed, r resident already, x refused (the
-- shard was reopened, the lease has run out, or the temporary set is incomplete).
local fit = redis.call('HGET', KEYS[1], 'gen') == ARGV[1]
local states = {}
for i = 1, (#KEYS - 4) / 3 do
  local lease, loaded, likers = unpack(KEYS, 3 * i + 2, 3 * i + 4)
  local item, count, number, votes = unpack(ARGV, 4 * i - 1, 4 * i + 2)
  local partly = number == '%'
  local n = partly and 0 or tonumber(number)
  if redis.call('HEXISTS', KEYS[2], item) == 1 then
    states[i] = 'r'
  elseif not fit or redis.call('GET', lease) ~= ARGV[2] or redis.call('SCARD', loaded) ~= n then
    states[i] = 'x'
  else
    redis.call('HSET', KEYS[2], item, count) -- may lack memory: before anything else changes
    redis.call('UNLINK', likers)             -- RENAME would free it on the spot
    if votes ~= '' then
      redis.call('HSET', KEYS[4], item, votes)
      redis.call('HINCRBY', KEYS[1], 'voted', 1) -- it may have other votes than before (tally.lua)
    end
    if partly then
      redis.call('SADD', likers, '%')
      redis.call('SADD', KEYS[3], item)
      forgot(KEYS[1]) -- who was known of it before is not any more
    elseif n > 0 then
      redis.call('RENAME', loaded, likers)
      redis.call('PERSIST', likers)
    end
    states[i] = 'i'
  end
  if states[i] ~= 'i' then redis.call('UNLINK', loaded) end
  if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
end
return table.concat(states)
