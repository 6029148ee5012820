-- Begin an attempt, unless the stream has ended.
-- KEYS  1 log, 2 meta, 3 lease, 4 ctl, 5 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 payload of the open frame, 3 content type, 4 framing,
--       5 milliseconds to keep the log, 6 to keep meta, 7 of the lease
-- Returns {"OPEN", attempt, what ctl holds or ""}, or {"FINISHED", state, outcome}.
local log, meta = KEYS[1], KEYS[2]
local fields = redis.call('HMGET', meta, 'state', 'outcome')
if fields[1] and fields[1] ~= 'open' then return {'FINISHED', fields[1], fields[2] or '{}'} end
local attempt = redis.call('HINCRBY', meta, 'attempt', 1)
-- Meta may have been evicted, the log not: its ids must go on growing.
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if top then
  local before = tonumber(string.match(top[1], '^%d+'))
  if before >= attempt then attempt = before + 1 end
end
local id = string.format('%.0f-0', attempt)
redis.call('HSET', meta, 'attempt', attempt, 'state', 'open', 'content_type', ARGV[3], 'framing', ARGV[4])
redis.call('XADD', log, id, 'o', ARGV[2])
redis.call('PEXPIRE', log, ARGV[5])
redis.call('PEXPIRE', meta, ARGV[6])
redis.call('SET', KEYS[3], attempt, 'PX', ARGV[7])
redis.call(ARGV[1], KEYS[5], '1 ' .. id .. ' o\n' .. ARGV[2])
return {'OPEN', attempt, redis.call('GET', KEYS[4]) or ''}
