-- What status and metrics show.
-- KEYS  see common.lua
-- ARGV  1 settings
-- Returns {limit, permits in use, permits waited for, breaker, seconds until it is tried, calls in the window, failed ones,
--          seconds a call takes}.
if settings.breaker and phase() == 'closed' then roll() end
local failed = (state.down or 0) + (state.down_before or 0)
local calls = (state.up or 0) + (state.up_before or 0) + failed
local left = state.retry_at and math.max(0, state.retry_at - now) or 0
return {math.floor(limit()), redis.call('ZCARD', PERMITS), redis.call('ZCARD', WAITING), phase(), tostring(left),
  calls, failed, tostring(state.seconds or 0)}
