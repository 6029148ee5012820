-- Take a block's outcomes, and the permits it needs no longer.
-- KEYS  see common.lua
-- ARGV  1 settings, 2 block, 3 permits it keeps, 4 epoch of its admission, outcomes: 5 calls, 6 that let the limit grow,
--       7 that cut it, 8 that say the endpoint is up, 9 that say it is down; 10 seconds one call took (0: not known)
-- Returns {permits asked back, epoch, "open" or "closed" when this report has moved the breaker there or "",
--          the limit when this report has lowered it or 0}.
local block, kept, epoch = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local calls, grow, cut, up, down = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local seconds = tonumber(ARGV[10])
local phase_before, limit_before = phase(), math.floor(limit())
if settings.max > 0 then
  adapt(grow, cut, redis.call('ZCARD', PERMITS))
  remove(PERMITS, block, kept)
end
if grow > 0 and seconds > 0 then
  local known = state.seconds or seconds
  put('seconds', known + (1 - 0.9 ^ grow) * (seconds - known)) -- a moving average of about ten calls
end
judge(epoch, up, down, calls - up - down)
save()
local now_at, limit_now = phase(), math.floor(limit())
local moved = now_at ~= phase_before and now_at or ''
local lowered = limit_now < limit_before and limit_now or 0
if now_at == 'closed' then epoch = state.epoch or 0 end
if epoch ~= (state.epoch or 0) then return {kept, epoch, moved, lowered} end -- it was admitted before the breaker opened
return {settings.max > 0 and asked_back(block, kept) or 0, epoch, moved, lowered}
