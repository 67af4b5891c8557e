-- Give a user the unit back that a like has used which was taken back.
--
-- KEYS  1 quota, see quota.lua
-- ARGV  1 user   2 when the like was made, in ms   3 its mark: '%' and what no other
--       like has
--
-- Returns 1 when a unit was given back, 0 when none was: the like's window is over, a
-- call with this mark was here, or the user has none to be given back. The mark is in
-- the hash, so it lives as long as the units that it guards.
local quota, user = KEYS[1], ARGV[1]
local stamp = redis.call('HGET', quota, '%w')
if not stamp then return 0 end
local start, length = string.match(stamp, '^(%d+) (%d+)$')
local made = tonumber(ARGV[2])
if made < tonumber(start) or made >= tonumber(start) + tonumber(length) then return 0 end
if redis.call('HSETNX', quota, ARGV[3], '1') == 0 then return 0 end
local used = redis.call('HGET', quota, user)
if not used or used == '0' then return 0 end
redis.call('HINCRBY', quota, user, -1)
return 1
