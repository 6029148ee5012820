-- Note that due times are dealt with: their messages are sent, or they were missed.
-- ARGV  3 version of the schedule that was looked at, 4 entry, 5 last_due or last_prewarm, 6 the newest of them,
--       7 time at which the entry is due next or empty, 8 how many were missed,
--       9 a run (JSON) that stands for missed ones when none is run for them, or empty
-- Returns 1, or 0 when the schedule has been changed meanwhile, or another beat was first.
local found = redis.call('HMGET', schedule, 'version', ARGV[5], 'paused')
if found[1] ~= ARGV[3] or tonumber(found[2]) >= tonumber(ARGV[6]) then return 0 end
redis.call('HSET', schedule, ARGV[5], ARGV[6])
if ARGV[7] == '' then redis.call('ZREM', index, ARGV[4])
elseif not found[3] then redis.call('ZADD', index, ARGV[7], ARGV[4]) end
if tonumber(ARGV[8]) > 0 then redis.call('HINCRBY', schedule, 'missed', ARGV[8]) end
if ARGV[9] ~= '' then
  local run = cjson.decode(ARGV[9])
  run.noted = now
  drop(run, 'MISSED', 'Missed', 'Nothing was started: it was noticed too late.')
  if redis.call('HEXISTS', runs, run.id) == 0 then save(run) end
end
return 1
