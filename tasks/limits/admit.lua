-- Admit up to so many calls, or say why not and when to come back.
-- KEYS  see common.lua
-- ARGV  1 settings, 2 block (names the permits), 3 waiter (names who comes back), 4 calls wanted
-- Returns {calls admitted, reason ("", "concurrency", "breaker"), seconds to wait, the breaker's epoch}.
local epoch = state.epoch or 0
local allowed, seconds = allow(tonumber(ARGV[4]))
if allowed == 0 then return {0, 'breaker', tostring(seconds), epoch} end
local granted = allowed
if settings.max > 0 then granted = acquire(ARGV[2], ARGV[3], allowed) end
if granted == 0 then
  seconds = wait(ARGV[3], allowed)
  save()
  return {0, 'concurrency', tostring(seconds), epoch}
end
probe(granted)
save()
return {granted, '', '0', epoch}
