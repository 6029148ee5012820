-- Forget a row whose message could not be published: its caller was told so.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id
-- Returns 1 if it was forgotten, 0 if a worker had begun it.
local row, base, id = KEYS[1], ARGV[1], ARGV[2]
local fields = redis.call('HMGET', row, 'state', 'run', 'task')
if fields[1] ~= 'ACCEPTED' or fields[2] ~= '0' then return 0 end
redis.call('DEL', row)
redis.call('ZREM', base .. 'due', id)
redis.call('HINCRBY', base .. 'counts', 'ACCEPTED', -1)
redis.call('HINCRBY', base .. 'tally', fields[3] .. '|ACCEPTED|', -1)
return 1
