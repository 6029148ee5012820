-- The answer of a submitted request was found: its collecting task may run.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 task, 4 kind (output, failure, deadline), 5 seconds until its message counts as late,
--       6 the call: the client repeats one whose answer was lost
-- The row's field "collecting" is the message of the collecting task; it takes the first one's place.
-- Returns the signature to send, also to a call that is repeated, or false when the row was not waiting.
local row, base, id = KEYS[1], ARGV[1], ARGV[2]
local fields = redis.call('HMGET', row, 'state', 'ready', 'prefix', 'collecting', 'call', 'signature')
if fields[3] then redis.call('ZREM', base .. 'pending:' .. fields[3], id) end
if fields[1] == 'SUBMITTED' and fields[2] and fields[5] == ARGV[6] then return fields[6] end
if fields[1] ~= 'SUBMITTED' or fields[2] then return false end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('HDEL', row, 'collecting')
redis.call('HSET', row, 'ready', ARGV[4], 'signature', fields[4], 'task', ARGV[3], 'found_at', now, 'updated_at', now, 'sends', 1, 'call', ARGV[6],
  'seq', redis.call('INCR', base .. 'seq'))
redis.call('ZADD', base .. 'due', now + ARGV[5], id)
return fields[4]
