-- Take back what dead owners were running: their leases have run out.
-- KEYS  1 owners
-- ARGV  1 base of all keys, 2 owners to take at most
-- Returns the ids taken back.
local base = ARGV[1]
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local taken = {}
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  for _, id in ipairs(redis.call('SMEMBERS', base .. 'running:' .. owner)) do
    local row = base .. 'row:' .. id
    local fields = redis.call('HMGET', row, 'state', 'owner', 'ready')
    if fields[1] == 'RUNNING' and fields[2] == owner then
      redis.call('HSET', row, 'state', fields[3] and 'SUBMITTED' or 'ACCEPTED', 'lost', 1, 'updated_at', now)
      redis.call('HDEL', row, 'owner')
      redis.call('ZADD', base .. 'due', now, id)
      taken[#taken + 1] = id
    end
  end
  redis.call('DEL', base .. 'running:' .. owner)
  redis.call('ZREM', KEYS[1], owner)
end
return taken
