-- Close a shard whose log is behind the ledger (a failover to a stale replica,
-- an old backup): what it has is old, and its ids would give new changes versions
-- that lose.
--
-- KEYS  1 meta   2 log
-- ARGV  1 the id after the end   2 the end that the ledger knows of (log ids)   3 the
--       number of shards that the ledger has
--
-- Returns 1 when the shard is fit or closed already, 0 when it was closed now.
local shards = redis.call('HGET', KEYS[1], 'shards')
if not shards or string.find(shards, '^moving') or shards == 'moved to ' .. ARGV[3] then return 1 end
local newer = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', 1)
if #newer > 0 then return 1 end
-- Every entry is at or below that end, the usual state after a drain; only the last
-- id that was ever given tells whether the log has lost it.
if above(ARGV[2], last(KEYS[2])) then
  redis.call('DEL', KEYS[1])
  return 0
end
return 1
