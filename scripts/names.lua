-- Shared by the scripts that must not touch what live traffic has changed; put
-- in front of them.
--
-- named(log, from, item, user) tells whether an entry with an id from `from` on
-- names the pair (or, without a user, the item): 'yes', 'no', or 'many' when
-- there are more entries than one call may look at (2,000).
local function named(log, from, item, user)
  local entries = redis.call('XRANGE', log, from, '+', 'COUNT', 2001)
  if #entries > 2000 then return 'many' end
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    if fields[1] == 'd' then
      local text = '\n' .. fields[2] .. '\n'
      local head = '\n' .. item .. ' '
      local from, to = string.find(text, head, 1, true)
      while from do
        local stop = string.find(text, '\n', to, true)
        local users = string.sub(text, to, stop - 1) .. ' '
        if not user or string.find(users, ' +' .. user .. ' ', 1, true) or string.find(users, ' -' .. user .. ' ', 1, true) then
          return 'yes'
        end
        from, to = string.find(text, head, stop, true)
      end
    end
  end
  return 'no'
end
