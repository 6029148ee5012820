-- The input is in order and all chunks are added: the job begins.
-- ARGV  3 planner, 4 number of records, then field, value, ... to write
-- Returns 1, or 0 when the job is not this planner's now.
local fields = redis.call('HMGET', job, 'state', 'planner')
if fields[1] ~= 'validating' or fields[2] ~= ARGV[3] then return 0 end
local chunks = redis.call('LLEN', job .. ':chunks')
redis.call('HSET', job, 'state', 'in_progress', 'in_progress_at', now, 'total', ARGV[4], 'chunks', chunks)
for i = 5, #ARGV, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end
redis.call('LPUSH', job .. ':samples', now .. ' 0')
if chunks == 0 then finalize() else redis.call('ZADD', base .. 'active', turn(), id) end
return 1
