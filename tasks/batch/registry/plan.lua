-- Begin to plan a job: what an earlier planner wrote is forgotten.
-- ARGV  3 planner: the fence of what follows
-- Returns 1, or 0 when the job is not to be planned.
if redis.call('HGET', job, 'state') ~= 'validating' then return 0 end
redis.call('HSET', job, 'planner', ARGV[3])
redis.call('DEL', job .. ':chunks', job .. ':pending', job .. ':progress')
return 1
