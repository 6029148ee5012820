-- Put before each of the other scripts: what they have in common.
-- KEYS  1 schedule (HASH settings, source, version, paused, last_due, last_prewarm, running, waiting, last, missed)
-- ARGV  1 base of all keys, 2 schedule's name
-- Further keys: `:runs` (HASH id to JSON) and `:order` (ZSET of ids by due time) of the schedule; of all: `schedules`
-- (SET of names), `schedules:going` (HASH name to running run), `schedules:unsaid` (SET of "name id": runs whose
-- state has not been announced), and RedBeat's index `beat::schedule` (ZSET of entries by the time they are due).
local schedule, base, name = KEYS[1], ARGV[1], ARGV[2]
local runs, order, index = schedule .. ':runs', schedule .. ':order', base .. 'beat::schedule'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6

-- Runs that are kept of one schedule.
local KEEP = 200

local function load(id)
  local text = id and redis.call('HGET', runs, id)
  return text and cjson.decode(text) or nil
end

local function trim()
  local over = redis.call('ZCARD', order) - KEEP
  if over <= 0 then return end
  for _, id in ipairs(redis.call('ZRANGE', order, 0, over - 1)) do
    local run = load(id)
    if not run or run.ended then
      redis.call('HDEL', runs, id)
      redis.call('ZREM', order, id)
    end
  end
end

local function save(run)
  local text = cjson.encode(run)
  redis.call('HSET', runs, run.id, text)
  redis.call('ZADD', order, run.due, run.id)
  redis.call('SADD', base .. 'schedules:unsaid', name .. ' ' .. run.id)
  trim()
  return text
end

-- Nothing was, or will be, started for a run.
local function drop(run, state, code, message)
  run.state, run.ended = state, now
  run.reason = {code = code, message = message, members = {schedule = name}}
end

-- A run is the one that is going on.
local function start(run)
  run.state, run.started = 'RUNNING', now
  redis.call('HSET', schedule, 'running', run.id)
  redis.call('HSET', base .. 'schedules:going', name, run.id)
end

-- Set when RedBeat finds the schedule's entries: entry, time or empty, ...
local function plan(first)
  for i = first, #ARGV, 2 do
    if ARGV[i + 1] == '' then redis.call('ZREM', index, ARGV[i])
    else redis.call('ZADD', index, ARGV[i + 1], ARGV[i]) end
  end
end
