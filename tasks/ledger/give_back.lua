-- Take a request from a run of which its living owner knows nothing: it could not say how it ended, or never heard
-- that it had begun.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 owner, 4 run
-- Returns 1, or 0 when the row is not, or no longer, this run's.
local row, base, id, owner = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local fields = redis.call('HMGET', row, 'state', 'owner', 'run', 'ready')
if fields[1] ~= 'RUNNING' or fields[2] ~= owner then
  redis.call('SREM', base .. 'running:' .. owner, id)
  return 0
end
if fields[3] ~= ARGV[4] then return 0 end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('HSET', row, 'state', fields[4] and 'SUBMITTED' or 'ACCEPTED', 'lost', 1, 'updated_at', now)
redis.call('HDEL', row, 'owner')
redis.call('SREM', base .. 'running:' .. owner, id)
redis.call('ZADD', base .. 'due', now, id)
return 1
