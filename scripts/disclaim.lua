-- Give up claims of claim.lua: the rows are in the ledger for everybody to read.
--
-- KEYS  1 claims
-- ARGV  1 token   2.. the item ids
--
-- Returns one letter per item: y it was ours to the end, n somebody may have loaded
-- the item meanwhile, without those rows.
local now = redis.call('TIME')
local claims, ours, letters = redis.call('HMGET', KEYS[1], unpack(ARGV, 2)), {}, {}
for i = 1, #ARGV - 1 do
  local ends, token = string.match(claims[i] or '', '^(%d+) (.+)$')
  letters[i] = 'n'
  if token == ARGV[1] then
    ours[#ours + 1] = ARGV[1 + i]
    if tonumber(ends) > now[1] * 1000 + now[2] / 1000 then letters[i] = 'y' end
  end
end
if #ours > 0 then redis.call('HDEL', KEYS[1], unpack(ours)) end
return table.concat(letters)
