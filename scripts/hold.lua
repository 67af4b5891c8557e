-- Hold on to leases while their items are being loaded.
--
-- KEYS  lease, one per item
-- ARGV  1 token   2 lease time in ms
--
-- Returns how many are still ours. One that has run out stays so: somebody else
-- may have loaded the item since, and what we have read of it may be old.
local held = 0
for _, lease in ipairs(KEYS) do
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('PEXPIRE', lease, ARGV[2])
    held = held + 1
  end
end
return held
