-- Keep items from being loaded while an import writes their rows in the ledger.
--
-- KEYS  1 counts   2 claims   3.. lease, one per item
-- ARGV  1 token   2 time in ms   3.. the item ids
--
-- Returns one letter per item: r resident, c cold.
--
-- A claim is a field of claims: the time of this server at which it ends by itself, and a
-- token. Leases go, whoever has them: install.lua refuses what was to be loaded under
-- them, and lease.lua gives none for a claimed item. A resident item is claimed, too,
-- since it may be evicted meanwhile. So nobody makes a copy of rows that are about to
-- change.
local now, claims = redis.call('TIME'), {}
local claim = string.format('%.0f ', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2]) .. ARGV[1]
for i = 3, #ARGV do claims[2 * i - 5], claims[2 * i - 4] = ARGV[i], claim end
redis.call('HSET', KEYS[2], unpack(claims))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('DEL', unpack(KEYS, 3))
local marks, states = redis.call('HMGET', KEYS[1], unpack(ARGV, 3)), {}
for i = 1, #ARGV - 2 do states[i] = marks[i] and 'r' or 'c' end
return table.concat(states)
