-- Open a row for a request, unless its id has one already.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 task, 4 signature, 5 lane, 6 endpoint, 7 seconds until its message counts as late,
--       8 seconds for which it is parked, without a message: the clock sends it; 0 for one that is being sent
-- Returns {1, "ACCEPTED"} for a new row, {0, state} for one that was there.
local row, base, id = KEYS[1], ARGV[1], ARGV[2]
local state = redis.call('HGET', row, 'state')
if state then return {0, state} end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('HSET', row, 'id', id, 'state', 'ACCEPTED', 'task', ARGV[3], 'signature', ARGV[4], 'lane', ARGV[5],
  'endpoint', ARGV[6], 'seq', redis.call('INCR', base .. 'seq'), 'accepted_at', now, 'updated_at', now,
  'sends', 1, 'deaths', 0, 'run', 0)
local delay, due = tonumber(ARGV[8]), now + ARGV[7]
if delay > 0 then
  due = now + delay
  redis.call('HSET', row, 'sends', 0, 'not_before', due)
end
redis.call('ZADD', base .. 'due', due, id)
redis.call('HINCRBY', base .. 'counts', 'ACCEPTED', 1)
redis.call('HINCRBY', base .. 'tally', ARGV[3] .. '|ACCEPTED|', 1)
return {1, 'ACCEPTED'}
