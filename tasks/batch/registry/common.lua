-- Put before each of the other scripts: what they have in common.
-- KEYS  1 job
-- ARGV  1 base of all keys, 2 job's id
-- Of a job's keys: `:pending` (ZSET chunk, by the time from which it may run), `:running` (HASH chunk to
-- "task gen last", where gen is the run's fence and last the gen of its last report), `:progress`, `:gens` and
-- `:setbacks` (HASHes by chunk), `:chunks`, `:parts` and `:samples` (LISTs), `:codes` (HASH).
local job, base, id = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6

local function turn() return redis.call('INCR', base .. 'turn') end

local function number(field) return tonumber(redis.call('HGET', job, field) or 0) end

-- Nothing is running, and nothing may run any more: what has no outcome gets that of the job.
local function finalize()
  local left = number('total') - number('succeeded') - number('failed')
  local ending = redis.call('HGET', job, 'ending')
  if left > 0 and ending then redis.call('HINCRBY', job, ending, left) end
  if left ~= 0 and not ending then redis.call('HSET', job, 'miscounted', left) end
  redis.call('HSET', job, 'state', 'finalizing', 'finalizing_at', now)
  redis.call('ZREM', base .. 'active', id)
  redis.call('ZADD', base .. 'finalizing', now, id)
end

-- A chunk is no worker's now.
local function leave(chunk)
  redis.call('HDEL', job .. ':running', chunk)
  redis.call('ZREM', base .. 'inflight', id .. ':' .. chunk)
  local idle = redis.call('HLEN', job .. ':running') == 0
  if idle and redis.call('HGET', job, 'ending') then finalize() end
end

-- A chunk may be begun in `delay` seconds; begun ones come before new ones.
local function wait(chunk, delay)
  if redis.call('HGET', job, 'ending') then return end
  redis.call('ZADD', job .. ':pending', delay > 0 and now + delay or tonumber(chunk), chunk)
  redis.call('ZADD', base .. 'active', 'NX', turn(), id)
end

-- The task, gen and last gen of a chunk's run, or nothing.
local function run_of(chunk)
  local entry = redis.call('HGET', job .. ':running', chunk)
  if not entry then return nil end
  return string.match(entry, '^(%S+) (%S+) (%S+)$')
end
