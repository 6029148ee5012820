-- An asynchronous endpoint has the request: the run ends, the row waits for its output.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 owner, 4 run, 5 output prefix, 6 seconds until the first look,
--       7 seconds until the deadline, then field, value, ... to write
--       "collecting", the message to send when the answer is there, must be among them.
-- Returns the submission's time in seconds, or 0 when the run was taken over or ended.
local row, base, id, owner, prefix = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local fields = redis.call('HMGET', row, 'state', 'owner', 'run')
if fields[1] ~= 'RUNNING' or fields[2] ~= owner or fields[3] ~= ARGV[4] then return 0 end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('HSET', row, 'state', 'SUBMITTED', 'submitted_at', now, 'updated_at', now, 'deadline', now + ARGV[7],
  'prefix', prefix, 'deaths', 0)
for i = 8, #ARGV, 2 do redis.call('HSET', row, ARGV[i], ARGV[i + 1]) end
redis.call('HDEL', row, 'owner')
redis.call('SREM', base .. 'running:' .. owner, id)
redis.call('ZADD', base .. 'pending:' .. prefix, now, id)
redis.call('ZADD', base .. 'prefixes', 'NX', now + ARGV[6], prefix)
return tostring(now)
