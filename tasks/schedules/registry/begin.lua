-- Decide what becomes of a run whose message was delivered; the same message again gets the same answer.
-- ARGV  3 the run (JSON: id, due, trigger, kind, missed), 4 overlap, 5 "1" when it was noticed too late
-- Returns {verdict, run, replaced run or empty}; verdicts: START (also when it was begun before), LEAVE, GONE.
local found = redis.call('HMGET', schedule, 'settings', 'paused', 'running', 'waiting')
if not found[1] then return {'GONE', '', ''} end
local run = cjson.decode(ARGV[3])
local known = redis.call('HGET', runs, run.id)
if known then
  return {cjson.decode(known).state == 'RUNNING' and 'START' or 'LEAVE', known, ''}
end
run.noted = now
local other, replaced = load(found[3]), ''
if found[2] and run.trigger == 'schedule' then
  drop(run, 'SKIPPED', 'Paused', 'The schedule was paused.')
elseif ARGV[5] == '1' then
  drop(run, 'MISSED', 'Missed', 'Nothing was started: it was noticed too late.')
  run.missed = run.missed + 1
  redis.call('HINCRBY', schedule, 'missed', 1)
elseif not other then
  start(run)
-- Messages that were sent together arrive in any order: an older run does not replace a newer one.
elseif ARGV[4] == 'replace' and other.due <= run.due then
  drop(other, 'REVOKED', 'Replaced', 'Run ' .. run.id .. ' took its place.')
  replaced = save(other)
  redis.call('HSET', schedule, 'last', replaced)
  run.replaces = {id = other.id, kind = other.kind, target = other.target}
  start(run)
elseif ARGV[4] == 'queue' and not found[4] then
  run.state = 'WAITING'
  redis.call('HSET', schedule, 'waiting', run.id)
else
  drop(run, 'SKIPPED', 'Overlap', 'Run ' .. other.id .. ' was still going on.')
end
return {run.state == 'RUNNING' and 'START' or 'LEAVE', save(run), replaced}
