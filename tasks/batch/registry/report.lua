-- Count what a run has written to S3, and keep what is left of its chunk.
-- ARGV  3 chunk, 4 gen, 5 what follows: DONE, STAY (the run goes on) or LEAVE, 6 succeeded, 7 failed, 8 progress,
--       9 seconds until the rest may run, 10 part (JSON or empty), then kind:code, number, ... to add up
-- Returns {1, the run's next gen}, also when this very report was counted before; {0, 0} when the chunk is not this run's.
local chunk, gen, follows = ARGV[3], ARGV[4], ARGV[5]
local task, current, last = run_of(chunk)
if last == gen and gen ~= '0' then return {1, tonumber(current)} end
if current ~= gen then return {0, 0} end
redis.call('HINCRBY', job, 'succeeded', ARGV[6])
redis.call('HINCRBY', job, 'failed', ARGV[7])
redis.call('HINCRBY', base .. 'records', 'succeeded', ARGV[6])
redis.call('HINCRBY', base .. 'records', 'failed', ARGV[7])
if ARGV[10] ~= '' then redis.call('RPUSH', job .. ':parts', ARGV[10]) end
for i = 11, #ARGV, 2 do redis.call('HINCRBY', job .. ':codes', ARGV[i], ARGV[i + 1]) end
redis.call('HDEL', job .. ':setbacks', chunk)
if tonumber(ARGV[6]) + ARGV[7] > 0 then
  redis.call('LPUSH', job .. ':samples', now .. ' ' .. number('succeeded') + number('failed'))
  redis.call('LTRIM', job .. ':samples', 0, 127)
end
if follows == 'DONE' then
  for _, name in ipairs({':progress', ':gens', ':setbacks'}) do redis.call('HDEL', job .. name, chunk) end
  local done = redis.call('HINCRBY', job, 'chunks_done', 1)
  leave(chunk)
  if done == number('chunks') and redis.call('HGET', job, 'state') == 'in_progress' then finalize() end
  return {1, 0}
end
redis.call('HSET', job .. ':progress', chunk, ARGV[8])
if follows == 'LEAVE' then
  leave(chunk)
  wait(chunk, tonumber(ARGV[9]))
  return {1, 0}
end
local following = redis.call('HINCRBY', job .. ':gens', chunk, 1)
redis.call('HSET', job .. ':running', chunk, task .. ' ' .. following .. ' ' .. gen)
redis.call('ZADD', base .. 'inflight', now, id .. ':' .. chunk)
return {1, following}
