-- Pause a schedule, or let it go on; due times in between are not made up for.
-- ARGV  3 "1" to pause, "0" to go on, 4 the time up to which due times are dealt with,
--       then entry, time or empty, ... of RedBeat's index
-- Returns 1, or 0 when there is no such schedule.
local found = redis.call('HMGET', schedule, 'settings', 'paused')
if not found[1] then return 0 end
if (ARGV[3] == '1') == (found[2] == '1') then return 1 end
redis.call('HINCRBY', schedule, 'version', 1)
plan(5)
if ARGV[3] == '1' then
  redis.call('HSET', schedule, 'paused', 1)
else
  redis.call('HDEL', schedule, 'paused')
  redis.call('HSET', schedule, 'last_due', ARGV[4], 'last_prewarm', ARGV[4])
end
return 1
