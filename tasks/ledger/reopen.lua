-- No output came of a call that was never answered: the request is to be sent again.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id
-- Returns 1, or 0 when the row was not waiting for an unanswered call, or is to wait longer for this one.
local row, base, id = KEYS[1], ARGV[1], ARGV[2]
local fields = redis.call('HMGET', row, 'state', 'ready', 'prefix', 'unanswered_until')
if fields[1] ~= 'SUBMITTED' or fields[2] or not fields[4] then return 0 end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
if tonumber(fields[4]) > now then return 0 end
redis.call('ZREM', base .. 'pending:' .. fields[3], id)
redis.call('HDEL', row, 'intent', 'unanswered_until', 'prefix', 'output_location', 'submitted_at', 'deadline',
  'collecting')
redis.call('HSET', row, 'state', 'ACCEPTED', 'lost', 1, 'sends', 0, 'updated_at', now)
redis.call('ZADD', base .. 'due', now, id)
return 1
