-- Open a closed shard, unless its log still holds what the ledger lacks.
--
-- KEYS  1 meta   2 counts   3 log   4 partly   5 votes   6 refs
-- ARGV  1 shards   2 watermark (log id)   3 the smallest id that new entries may
--       have   4 generation, new and unique   5 the ledger's mark of frozen items, ''
--       when there never was one
--
-- Returns 'open'     it is open already
--         'layout'   it is open for another number of shards, or the number is
--                    being changed
--         'pending'  entries above the watermark wait for a drain
--         'frozen'   it lacks what the ledger says of frozen items (freeze.lua)
--         'dirty'    counts of an earlier life are still there: purge them
--         'opened'
--
-- Versions must never go back, so a log whose last id is too small gets a
-- marker entry at the floor. `shards` is written last: whoever sees it sees
-- a floored log and an empty counts hash. With no item resident none is partly, so
-- `partly` may be relied on again (shared.lua). What became of votes is forgotten:
-- an answer of the ledger that lacks anything up to the watermark is too old.
local shards = redis.call('HGET', KEYS[1], 'shards')
if shards == ARGV[1] then return 'open' end
if shards and shards ~= 'moved to ' .. ARGV[1] then return 'layout' end
if #redis.call('XRANGE', KEYS[3], '(' .. ARGV[2], '+', 'COUNT', 1) > 0 then return 'pending' end
if (redis.call('HGET', KEYS[1], 'froze') or '') ~= ARGV[5] then return 'frozen' end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'dirty' end

-- The one error: the log's last id is at or above the floor already.
local floored = redis.pcall('XADD', KEYS[3], ARGV[3], 'm', 'open')
if type(floored) == 'table' and not string.find(floored.err, 'equal or smaller') then return floored end
local before = redis.call('HGET', KEYS[1], 'forgot')
if before then redis.call('HSET', KEYS[1], 'marked', before) end
redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', KEYS[1], 'shards', ARGV[1], 'gen', ARGV[4], 'lapsed', ARGV[2])
return 'opened'
