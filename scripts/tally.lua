-- Read the sum of an item's votes, and of which moment it is.
--
-- KEYS  1 meta   2 counts   3 log   4 votes
-- ARGV  1 item
--
-- Returns {sum, voted, last id}, or nothing when the item is cold; the sum is '' when
-- there is none. `voted` moves when an item with votes is loaded anew.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return {} end
local sum = redis.pcall('HGET', KEYS[4], ARGV[1]) or ''
if type(sum) == 'table' then sum = sum.err end
return {sum, redis.call('HGET', KEYS[1], 'voted') or '', last(KEYS[3])}
