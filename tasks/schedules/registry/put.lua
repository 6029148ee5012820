-- Add a schedule, or change it.
-- ARGV  3 settings (JSON), 4 source, 5 "1": one that is there may be changed, 6 the time up to which due times are
--       dealt with, then entry, time or empty, ... of RedBeat's index
-- Returns NEW, CHANGED, SAME (its due times stay as they are), or EXISTS (nothing was written).
local found = redis.call('HMGET', schedule, 'settings', 'paused')
if found[1] and ARGV[5] ~= '1' then return 'EXISTS' end
redis.call('HSET', schedule, 'source', ARGV[4])
if found[1] == ARGV[3] then return 'SAME' end
redis.call('HSET', schedule, 'settings', ARGV[3], 'last_due', ARGV[6], 'last_prewarm', ARGV[6])
-- One that was removed and comes back counts on from where the old one cannot have been.
if not found[1] then redis.call('HSET', schedule, 'version', string.format('%.0f', now * 1e6)) end
redis.call('HINCRBY', schedule, 'version', 1)
redis.call('SADD', base .. 'schedules', name)
if not found[2] then plan(7) end
return found[1] and 'CHANGED' or 'NEW'
