-- Remember what the ledger says of users whom partly resident items do not know.
--
-- KEYS  1 meta   2.. likers, one set per answer
-- ARGV  1 generation   2 forgot, both as they were before the ledger was asked
--       3 answers, a letter each: 1 liked, 0 not   4.. the users
--
-- Returns 1, or 0 when something has been forgotten since: then a user may have
-- been known, changed, drained and forgotten after the ledger was asked. Who is
-- known by now, or asked for a wholly resident item, is left alone.
local meta = redis.call('HMGET', KEYS[1], 'gen', 'forgot')
if meta[1] ~= ARGV[1] or (meta[2] or '') ~= ARGV[2] then return 0 end
for i = 1, #KEYS - 1 do
  local likers, user = KEYS[1 + i], ARGV[3 + i]
  local is = redis.call('SMISMEMBER', likers, '%', user, '%' .. user)
  if is[1] == 1 and is[2] == 0 and is[3] == 0 then
    redis.call('SADD', likers, string.byte(ARGV[3], i) == 49 and user or '%' .. user)
  end
end
return 1
