-- Drop drained entries from a log, but none that a reconciler has pinned, and
-- remember the drained items for it.
--
-- KEYS  1 log   2 pin   3 recent
-- ARGV  1 the smallest id to keep   2 how many items are remembered at most
--       3 seconds for which they are   4… items
--
-- Returns the id of the last entry that is left, '' when there is none. The pin
-- holds "id token": entries after that id are needed.
local keep, most, seconds = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local pin = redis.call('GET', KEYS[2])
if pin then
  local pms, pseq = string.match(pin, '^(%d+)-(%d+) ')
  local kms, kseq = string.match(keep, '^(%d+)-(%d+)$')
  if tonumber(pms) < tonumber(kms) or pms == kms and tonumber(pseq) < tonumber(kseq) then
    keep = pms .. '-' .. pseq -- keeps the entry at the pin, too: it does no harm
  end
end
redis.call('XTRIM', KEYS[1], 'MINID', keep)
if #ARGV > 3 and redis.call('SCARD', KEYS[3]) < most then
  -- Hints: a Redis without memory for them refuses, and trims all the same.
  redis.pcall('SADD', KEYS[3], unpack(ARGV, 4))
  redis.pcall('EXPIRE', KEYS[3], seconds)
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return last and last[1] or ''
