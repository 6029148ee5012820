-- End a feed. Repeating it is harmless.
-- KEYS  1 log, 2 meta, 3 seen, 4 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 payload of the terminal frame, 3 milliseconds to keep the log, 4 to keep meta
-- Returns OK; ENDED: it has ended before; ABSENT: there is none.
local log, meta = KEYS[1], KEYS[2]
local fields = redis.call('HMGET', meta, 'state', 'attempt')
if fields[1] and fields[1] ~= 'open' then return 'ENDED' end
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not fields[1] or not top then return 'ABSENT' end
local id = fields[2] .. '-' .. string.format('%.0f', tonumber(string.match(top[1], '-(%d+)$')) + 1)
redis.call('XADD', log, 'NOMKSTREAM', id, 'e', ARGV[2])
redis.call('HSET', meta, 'state', 'complete', 'end', id, 'outcome', ARGV[2])
redis.call('DEL', KEYS[3])
redis.call('PEXPIRE', log, ARGV[3])
redis.call('PEXPIRE', meta, ARGV[4])
redis.call(ARGV[1], KEYS[4], '1 ' .. id .. ' e\n' .. ARGV[2])
return 'OK'
