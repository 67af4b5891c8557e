-- Append a marker to the log of an open shard. Who has it has all that was done before,
-- and a drain brings the watermark up to it.
--
-- KEYS  1 meta   2 log
-- ARGV  1 shards   2 '', or the last id that the log has given, as it was found with
--       nothing left in it
--
-- Returns the marker's id, or '' when the shard is not open or the log not as it was
-- found.
if redis.call('HGET', KEYS[1], 'shards') ~= ARGV[1] then return '' end
if ARGV[2] ~= '' and (redis.call('XLEN', KEYS[2]) > 0 or last(KEYS[2]) ~= ARGV[2]) then return '' end
return redis.call('XADD', KEYS[2], '*', 'm', 'mark')
