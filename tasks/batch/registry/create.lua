-- Open a job, unless its client token has opened one already.
-- ARGV  3 client token or empty, 4 seconds until it expires or 0, then field, value, ... to write
-- Returns the id of the job: this one's or the one that was there.
local token = base .. 'token:' .. ARGV[3]
if ARGV[3] ~= '' then
  local found = redis.call('GET', token)
  if found and redis.call('EXISTS', base .. 'job:' .. found) == 1 then return found end
  redis.call('SET', token, id)
end
redis.call('HSET', job, 'id', id, 'state', 'validating', 'created_at', now, 'token', ARGV[3])
for i = 5, #ARGV, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', base .. 'jobs', now, id)
redis.call('ZADD', base .. 'live', now, id)
if tonumber(ARGV[4]) > 0 then
  redis.call('HSET', job, 'expires_at', now + ARGV[4])
  redis.call('ZADD', base .. 'expiring', now + ARGV[4], id)
end
return id
