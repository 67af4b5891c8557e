-- Let a shard forget items that were written to the ledger directly, and give its
-- log an end above all that was written there.
--
-- KEYS  1 meta   2 counts   3 log   4 partly   5 votes   6.. likers, one set per item
-- ARGV  1 the watermark (log id)   2 the smallest id that new entries may have,
--       '' to let the log be   3 generation, new and unique   4.. the item ids
--
-- Returns 'pending' when entries above the watermark wait for a drain (nothing is
-- done then), else the id of the log's new end, or ''.
--
-- With the log drained the ledger knows all that Redis does, so any item may go
-- at any time, also when the call comes late. The new generation refuses whatever
-- was read in the ledger before (install.lua, learn.lua). The marker in the log
-- comes last: a Redis that has it has forgotten the items.
if #redis.call('XRANGE', KEYS[3], '(' .. ARGV[1], '+', 'COUNT', 1) > 0 then return 'pending' end
for i = 6, #KEYS do
  redis.call('HDEL', KEYS[2], ARGV[i - 2])
  redis.call('UNLINK', KEYS[i])
  redis.call('SREM', KEYS[4], ARGV[i - 2])
  redis.call('HDEL', KEYS[5], ARGV[i - 2])
end
if redis.call('HEXISTS', KEYS[1], 'shards') == 1 then redis.call('HSET', KEYS[1], 'gen', ARGV[3]) end
if ARGV[2] == '' then return '' end
local id = redis.pcall('XADD', KEYS[3], ARGV[2], 'm', 'rejoin')
if type(id) ~= 'table' then return id end
-- The log's last id is above the floor already: only a foreign hand did that.
if string.find(id.err, 'equal or smaller') then return redis.call('XADD', KEYS[3], '*', 'm', 'rejoin') end
return id
