-- Hand a run's request back: the clock sends it again when its wait is over.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 owner, 4 run, 5 seconds to wait, then field, value, ... to write
-- Returns 1, or 0 when the run was taken over or ended.
local row, base, id, owner = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local fields = redis.call('HMGET', row, 'state', 'owner', 'run', 'ready')
if fields[1] ~= 'RUNNING' or fields[2] ~= owner or fields[3] ~= ARGV[4] then return 0 end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('HSET', row, 'state', fields[4] and 'SUBMITTED' or 'ACCEPTED', 'not_before', now + ARGV[5],
  'updated_at', now, 'deaths', 0, 'sends', 0)
for i = 6, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', row, ARGV[i])
  else redis.call('HSET', row, ARGV[i], ARGV[i + 1]) end
end
redis.call('HDEL', row, 'owner')
redis.call('SREM', base .. 'running:' .. owner, id)
redis.call('ZADD', base .. 'due', now + ARGV[5], id)
return 1
