-- Give a delivered message's request to one run, or say why not.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 task, 4 owner, 5 lease in seconds, 6 deaths that make it poison,
--       7 the call: the client repeats one whose answer was lost, and it is given the same run
-- Returns {verdict, row as a flat list}; verdicts: RUN, POISON (the row is the caller's to end),
--         ABSENT, FINAL, STALE, BUSY, PARKED, SUBMITTED (nothing to do for this message).
local row, base, id, owner = KEYS[1], ARGV[1], ARGV[2], ARGV[4]
local fields = redis.call('HMGET', row, 'state', 'task', 'owner', 'ready', 'not_before', 'deaths', 'lane', 'seq', 'call')
local state = fields[1]
if not state then return {'ABSENT', {}} end
if state == 'SUCCEEDED' or state == 'FAILED' or state == 'REVOKED' or state == 'EXPIRED' then return {'FINAL', {}} end
if fields[2] ~= ARGV[3] then return {'STALE', {}} end
if state == 'SUBMITTED' and not fields[4] then return {'SUBMITTED', {}} end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
if fields[5] and tonumber(fields[5]) > now then return {'PARKED', {}} end
if state == 'RUNNING' then
  if fields[9] == ARGV[7] then
    return {tonumber(fields[6]) > tonumber(ARGV[6]) and 'POISON' or 'RUN', redis.call('HGETALL', row)}
  end
  local lease = redis.call('ZSCORE', base .. 'owners', fields[3])
  if lease and tonumber(lease) > now then return {'BUSY', {}} end
  redis.call('SREM', base .. 'running:' .. fields[3], id)
end
local verdict = tonumber(fields[6]) >= tonumber(ARGV[6]) and 'POISON' or 'RUN'
redis.call('HSET', row, 'state', 'RUNNING', 'owner', owner, 'updated_at', now, 'sends', 0, 'call', ARGV[7])
redis.call('HDEL', row, 'not_before', 'lost')
redis.call('HINCRBY', row, 'run', 1)
redis.call('HINCRBY', row, 'deaths', 1)
redis.call('HINCRBY', row, 'deliveries', 1)
redis.call('ZREM', base .. 'due', id)
redis.call('ZADD', base .. 'owners', now + ARGV[5], owner)
redis.call('SADD', base .. 'running:' .. owner, id)
local started = redis.call('HGET', base .. 'started', fields[7])
if not started or tonumber(started) < tonumber(fields[8]) then
  redis.call('HSET', base .. 'started', fields[7], fields[8])
end
return {verdict, redis.call('HGETALL', row)}
