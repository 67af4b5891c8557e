-- The barrier around a service's try and compensate, two functions that stand
-- above this text: function(key, op), key the service's keys of the op, op its
-- fields. They return nothing when the step is done, or a text: why a try is
-- rejected. They raise an error when they can't do it now.
--
-- KEYS  per op: the record, then the service's keys
-- ARGV  1 the step   2 how long records are remembered, in milliseconds
--       then per op: number of the service's keys, saga, item, user, liked (1 or 0), receipt
--
-- Returns per op: done, rejected or retry, and the reason.
--
-- The record is the first to be written. What Redis may refuse (memory, disk, a
-- replica) it refuses at a script's first write, so before anything is done: a
-- service's first write can fail only by a wrong type or number in its key. When
-- it does, the record is taken back, as nothing else has been written. Scripts
-- don't roll back: what may fail after a first write leaves a half.
local step, remember = ARGV[1], ARGV[2]
local answers, k, a = {}, 1, 3

local function keep(record, state) redis.call('SET', record, state, 'PX', remember) end

local function answer(result, reason)
  answers[#answers + 1] = result
  answers[#answers + 1] = reason or ''
end

-- What a service returns or raises is any value.
local function words(v) return type(v) == 'table' and v.err or tostring(v) end

local function first_try(record, key, op)
  keep(record, 'done')
  local ok, reason = pcall(try, key, op)
  if not ok then
    redis.call('DEL', record)
    return answer('retry', words(reason))
  end
  if reason == nil then return answer('done') end
  keep(record, 'rejected ' .. words(reason))
  return answer('rejected', words(reason))
end

local function take_back(record, key, op)
  keep(record, 'undone')
  local ok, why = pcall(compensate, key, op)
  if ok then return answer('done') end
  keep(record, 'done')
  return answer('retry', words(why))
end

local function run(record, key, op)
  local state = redis.pcall('GET', record)
  if type(state) == 'table' then return answer('retry', words(state)) end
  if step == 'try' then
    if not state then return first_try(record, key, op) end
    if state == 'done' then return answer('done') end
    if string.sub(state, 1, 9) == 'rejected ' then return answer('rejected', string.sub(state, 10)) end
    return answer('rejected', 'it has been compensated')
  end
  if state == 'done' then return take_back(record, key, op) end
  if not state then keep(record, 'blocked') end
  return answer('done')
end

while a <= #ARGV do
  local record, key = KEYS[k], {}
  for i = 1, tonumber(ARGV[a]) do key[i] = KEYS[k + i] end
  k = k + 1 + #key
  run(record, key, {
    saga = ARGV[a + 1], item = ARGV[a + 2], user = ARGV[a + 3],
    liked = ARGV[a + 4] == '1', receipt = ARGV[a + 5],
  })
  a = a + 6
end
return answers
