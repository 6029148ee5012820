-- End a run; the one that waits for it is started, unless the schedule is paused.
-- ARGV  3 id of the run, 4 final state, 5 reason (JSON or empty)
-- Returns {run, next run}, each as JSON or empty; nothing when the run had ended.
local run = load(ARGV[3])
if not run or run.ended then return {} end
local found = redis.call('HMGET', schedule, 'running', 'waiting', 'paused')
run.state, run.ended = ARGV[4], now
if ARGV[5] ~= '' then run.reason = cjson.decode(ARGV[5]) end
local ended, following = save(run), ''
redis.call('HSET', schedule, 'last', ended)
if found[2] == run.id then redis.call('HDEL', schedule, 'waiting') end
if found[1] ~= run.id then return {ended, following} end
redis.call('HDEL', schedule, 'running')
redis.call('HDEL', base .. 'schedules:going', name)
local waiting = load(found[2])
if waiting then
  redis.call('HDEL', schedule, 'waiting')
  if found[3] then
    drop(waiting, 'SKIPPED', 'Paused', 'The schedule was paused while it waited.')
  else
    waiting.waited = true
    start(waiting)
  end
  following = save(waiting)
end
return {ended, following}
