-- Drop drained entries from a log, but none that a reconciler has pinned.
--
-- KEYS  1 log   2 pin
-- ARGV  1 the smallest id to keep
--
-- Returns the number of entries dropped. The pin holds "id token": entries after
-- that id are needed.
local keep = ARGV[1]
local pin = redis.call('GET', KEYS[2])
if pin then
  local pms, pseq = string.match(pin, '^(%d+)-(%d+) ')
  local kms, kseq = string.match(keep, '^(%d+)-(%d+)$')
  if tonumber(pms) < tonumber(kms) or pms == kms and tonumber(pseq) < tonumber(kseq) then
    keep = pms .. '-' .. pseq -- keeps the entry at the pin, too: it does no harm
  end
end
return redis.call('XTRIM', KEYS[1], 'MINID', keep)
