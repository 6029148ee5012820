-- Add planned chunks to a job that is being validated.
-- ARGV  3 planner, 4 chunks that were added before, then chunk, progress, ... (JSON; an empty progress is a chunk to
--       do from its start)
-- Returns 1, also when these were added by the same call, whose answer was lost, or 0 when the job is not this planner's now.
local fields = redis.call('HMGET', job, 'state', 'planner')
if fields[1] ~= 'validating' or fields[2] ~= ARGV[3] then return 0 end
if redis.call('LLEN', job .. ':chunks') > tonumber(ARGV[4]) then return 1 end
for i = 5, #ARGV, 2 do
  local chunk = redis.call('RPUSH', job .. ':chunks', ARGV[i]) - 1
  redis.call('ZADD', job .. ':pending', chunk, chunk)
  if ARGV[i + 1] ~= '' then redis.call('HSET', job .. ':progress', chunk, ARGV[i + 1]) end
end
return 1
