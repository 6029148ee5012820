-- The limit: additive increase, multiplicative decrease. The same as aimd.py.
local function limit()
  if not settings.adaptive then return settings.max end
  return math.max(1, math.min(settings.max, state.limit or settings.max))
end

-- Move the limit by one report. A cut shows only once the calls begun before it have ended: until then nothing moves.
local function adapt(grow, cut, in_use)
  if not settings.adaptive or settings.max == 0 then return end
  local pause = math.max(settings.interval, state.seconds or 0)
  if state.cut_at and now - state.cut_at < pause then return end
  local current = limit()
  if cut > 0 then
    put('limit', math.max(1, current * settings.backoff))
    put('cut_at', now)
  elseif grow > 0 and current < settings.max and 2 * in_use >= current then
    put('limit', math.min(settings.max, math.sqrt(current * current + 2 * grow)))
  end
end
