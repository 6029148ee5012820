-- Say that a chunk's run is alive, and hear whether it shall go on.
-- ARGV  3 chunk, 4 gen, 5 "1" when the run is long enough to make room, 6 milliseconds between two runs that do
-- Returns GO, STOP (the job is ending), YIELD (another job has no slot), or GONE (the chunk is another run's).
local chunk = ARGV[3]
local _, gen = run_of(chunk)
if gen ~= ARGV[4] then return 'GONE' end
redis.call('ZADD', base .. 'inflight', now, id .. ':' .. chunk)
if redis.call('HGET', job, 'ending') then return 'STOP' end
if ARGV[5] ~= '1' and redis.call('HLEN', job .. ':running') < 2 then return 'GO' end
for _, name in ipairs(redis.call('ZRANGE', base .. 'active', 0, 49)) do
  local other = base .. 'job:' .. name
  if name ~= id and redis.call('HLEN', other .. ':running') == 0
    and redis.call('ZCOUNT', other .. ':pending', '-inf', now) > 0 then
    return redis.call('SET', base .. 'yielding', id, 'NX', 'PX', ARGV[6]) and 'YIELD' or 'GO'
  end
end
return 'GO'
