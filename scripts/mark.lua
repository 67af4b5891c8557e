-- Append a marker to a log that has nothing left, so that a drain brings the
-- watermark of a ledger that has gone back (a restored backup) to the log's end.
--
-- KEYS  1 meta   2 log
-- ARGV  1 shards   2 the last id that the log has given, as it was found
--
-- Returns 1, or 0 when the shard is not open or the log is not as it was found.
if redis.call('HGET', KEYS[1], 'shards') ~= ARGV[1] then return 0 end
if redis.call('XLEN', KEYS[2]) > 0 or last(KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('XADD', KEYS[2], '*', 'm', 'mark')
return 1
