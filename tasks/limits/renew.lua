-- Renew the leases of permits that have not lapsed.
-- KEYS  see common.lua
-- ARGV  1 settings, then block, permits, ...
-- Returns the blocks that have lapsed.
local lapsed = {}
for i = 2, #ARGV, 2 do
  local block, held = ARGV[i], tonumber(ARGV[i + 1])
  if not redis.call('ZSCORE', PERMITS, block .. ':0') then lapsed[#lapsed + 1] = block end
  for n = 0, held - 1 do redis.call('ZADD', PERMITS, 'XX', now + settings.lease, block .. ':' .. n) end
end
redis.call('EXPIRE', PERMITS, settings.keep)
return lapsed
