-- The semaphore. A permit is a member "<block>:<n>", scored with the end of its lease; whoever was refused waits as
-- members "<waiter>:<n>", one for each permit it wants, scored with the time by which it should have come back.
-- The rules are those of semaphore.py.
local function members(key, name)
  local n = 0
  while redis.call('ZSCORE', key, name .. ':' .. n) do n = n + 1 end
  return n
end

local function add(key, name, count, score)
  for n = 0, count - 1 do redis.call('ZADD', key, score, name .. ':' .. n) end
  redis.call('EXPIRE', key, settings.keep)
end

-- Remove members first, first + 1, ... while there are any.
local function remove(key, name, first)
  while redis.call('ZREM', key, name .. ':' .. first) == 1 do first = first + 1 end
end

local function acquire(block, waiter, want)
  local already = members(PERMITS, block)
  if already > 0 then return already end -- the answer was lost, and the command came again
  remove(WAITING, waiter, 0)
  local free = math.floor(limit()) - redis.call('ZCARD', PERMITS)
  if free < 1 then return 0 end
  local share = math.min(0.5, want / (want + redis.call('ZCARD', WAITING)))
  local granted = math.min(want, math.max(1, math.floor(free * share)))
  add(PERMITS, block, granted, now + settings.lease)
  return granted
end

-- Note that someone waits; returns in how many seconds it is likely to get a permit.
local function wait(waiter, want)
  local waiting = redis.call('ZCARD', WAITING)
  local seconds = (state.seconds or settings.guess) * (waiting + 1) / limit()
  seconds = math.max(settings.min_wait, math.min(settings.max_wait, seconds))
  local wanted = math.min(want, math.max(1, math.floor(limit() / 2)), settings.waiting - waiting)
  if wanted > 0 then add(WAITING, waiter, wanted, now + 2 * seconds + settings.grace) end
  return seconds
end

-- How many of a block's permits others should have; all of them if it has lapsed.
local function asked_back(block, held)
  if held == 0 then return 0 end
  if not redis.call('ZSCORE', PERMITS, block .. ':0') then return held end
  local in_use = redis.call('ZCARD', PERMITS)
  local over = in_use + math.min(redis.call('ZCARD', WAITING), math.floor(limit() / 2)) - math.floor(limit())
  if over <= 0 then return 0 end
  return math.min(held - 1, math.ceil(held * over / in_use))
end
