-- What every script begins with: the endpoint's settings and state.
-- KEYS  1 permits (sorted set), 2 waiting (sorted set), 3 state (hash)
-- ARGV  1 settings as JSON: lease, keep (seconds); max (0: any number), adaptive, backoff, interval; min_wait, max_wait,
--         guess, waiting, grace; breaker, calls, share, window, cooldown, probes
-- "now" is in seconds by Redis' clock.
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local PERMITS, WAITING, STATE = KEYS[1], KEYS[2], KEYS[3]
local FIELDS = {'limit', 'cut_at', 'seconds', 'epoch', 'retry_at', 'given', 'refill', 'passed', 'bucket', 'up', 'down',
  'up_before', 'down_before'}
local settings = cjson.decode(ARGV[1])
local state, changes = {}, {}
for i, value in ipairs(redis.call('HMGET', STATE, unpack(FIELDS))) do state[FIELDS[i]] = tonumber(value) end

local function put(field, value)
  state[field] = value
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end

local function save()
  if #changes == 0 then return end
  redis.call('HSET', STATE, unpack(changes))
  redis.call('EXPIRE', STATE, settings.keep)
end

redis.call('ZREMRANGEBYSCORE', PERMITS, '-inf', now)
redis.call('ZREMRANGEBYSCORE', WAITING, '-inf', now)
