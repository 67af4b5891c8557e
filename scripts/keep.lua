-- Give a pin its time again, and move it on to what its owner has read.
--
-- KEYS  1 pin
-- ARGV  1 the text that it holds   2 the text that it shall hold   3 time to live in ms
--
-- Returns 1, or 0 when it is gone or somebody else's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
