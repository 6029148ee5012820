-- Move a job to its final state; from then on its keys have a time to live.
-- ARGV  3 state it must have now, 4 planner or empty, 5 final state, 6 errors (JSON array or empty), 7 seconds to keep it
-- Returns 1, or 0 when it is in another state, or not this planner's.
local fields = redis.call('HMGET', job, 'state', 'planner', 'token')
if fields[1] ~= ARGV[3] or (ARGV[4] ~= '' and fields[2] ~= ARGV[4]) then return 0 end
redis.call('HSET', job, 'state', ARGV[5], 'ended_at', now)
if ARGV[6] ~= '' then redis.call('HSET', job, 'errors', ARGV[6]) end
for _, set in ipairs({'active', 'expiring', 'finalizing', 'live'}) do redis.call('ZREM', base .. set, id) end
redis.call('HINCRBY', base .. 'ended', ARGV[5], 1)
redis.call('DEL', job .. ':pending', job .. ':running', job .. ':gens', job .. ':setbacks')
for _, name in ipairs({'', ':chunks', ':parts', ':progress', ':codes', ':samples'}) do
  redis.call('EXPIRE', job .. name, ARGV[7])
end
if fields[3] ~= '' then redis.call('EXPIRE', base .. 'token:' .. fields[3], ARGV[7]) end
return 1
