-- The circuit breaker. The same as breaker.py.
local function phase()
  if not settings.breaker or not state.retry_at then return 'closed' end
  return now < state.retry_at and 'open' or 'half_open'
end

local function fresh()
  for _, field in ipairs({'given', 'passed', 'up', 'down', 'up_before', 'down_before'}) do put(field, 0) end
  put('epoch', (state.epoch or 0) + 1)
end

local function open()
  fresh()
  put('retry_at', now + settings.cooldown)
end

local function close()
  fresh()
  redis.call('HDEL', STATE, 'retry_at')
  state.retry_at = nil
end

-- How many of some calls may be made; if none, how many seconds until it is worth asking again.
local function allow(want)
  local at = phase()
  if at == 'closed' then return want, 0 end
  if at == 'open' then return 0, state.retry_at - now end
  if state.given > 0 and now >= state.refill then put('given', 0) end -- whoever had the probes is dead
  local left = settings.probes - state.given
  if left < 1 then return 0, state.refill - now end
  return math.min(want, left), 0
end

local function probe(calls)
  if phase() ~= 'half_open' then return end
  put('given', state.given + calls)
  put('refill', now + settings.cooldown)
end

-- Two buckets, each half a window long, so that the oldest calls counted are between half a window and one old.
local function roll()
  local bucket = math.floor(now / (settings.window / 2))
  local last = state.bucket or bucket
  if bucket == last and state.bucket then return end
  local kept = bucket - last == 1
  put('up_before', kept and state.up or 0)
  put('down_before', kept and state.down or 0)
  put('up', 0)
  put('down', 0)
  put('bucket', bucket)
end

-- Judge the outcomes of calls that were admitted in an epoch; those of an earlier one say nothing new.
local function judge(epoch, up, down, neutral)
  if not settings.breaker or epoch ~= (state.epoch or 0) then return end
  if phase() == 'half_open' then
    if down > 0 then return open() end
    if state.passed + up >= settings.probes then return close() end
    put('passed', state.passed + up)
    put('given', math.max(0, state.given - neutral))
    return
  end
  roll()
  put('up', state.up + up)
  put('down', state.down + down)
  local failed = state.down + state.down_before
  local calls = state.up + state.up_before + failed
  if calls >= settings.calls and failed > settings.share * calls then open() end
end
