-- Begin a run of a chunk that was given to a task.
-- ARGV  3 chunk, 4 task
-- Returns {gen, chunk, progress or empty, runs since the last report that died}, or nothing when the
--         chunk is not this task's, or the job is ending.
local chunk, task = ARGV[3], ARGV[4]
if run_of(chunk) ~= task then return false end
if redis.call('HGET', job, 'ending') then
  leave(chunk)
  return false
end
local gen = redis.call('HINCRBY', job .. ':gens', chunk, 1)
redis.call('HSET', job .. ':running', chunk, task .. ' ' .. gen .. ' 0')
redis.call('ZADD', base .. 'inflight', now, id .. ':' .. chunk)
local setbacks = redis.call('HINCRBY', job .. ':setbacks', chunk, 1) - 1
return {gen, redis.call('LINDEX', job .. ':chunks', chunk), redis.call('HGET', job .. ':progress', chunk) or '', setbacks}
