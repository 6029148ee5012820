-- End the stream: the terminal frame comes after whatever is the newest entry. Repeating it is harmless.
-- KEYS  1 log, 2 meta, 3 lease, 4 ctl, 5 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 attempt, 3 kind, 4 state, 5 payload,
--       6 milliseconds to keep the log, 7 to keep meta
-- Returns OK; STALE: a later attempt has taken over; GONE: the log is missing, the state is kept all the same.
local log, meta, attempt = KEYS[1], KEYS[2], tonumber(ARGV[2])
local fields = redis.call('HMGET', meta, 'state', 'attempt')
if fields[2] and tonumber(fields[2]) > attempt then return 'STALE' end
if fields[1] and fields[1] ~= 'open' then return 'OK' end
local verdict = 'GONE'
local id = ''
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if top then
  local top_attempt, top_seq = string.match(top[1], '^(%d+)-(%d+)$')
  if tonumber(top_attempt) > attempt then return 'STALE' end
  if tonumber(top_attempt) == attempt then
    verdict = 'OK'
    id = ARGV[2] .. '-' .. string.format('%.0f', tonumber(top_seq) + 1)
    redis.call('XADD', log, 'NOMKSTREAM', id, ARGV[3], ARGV[5])
    redis.call('PEXPIRE', log, ARGV[6])
  end
end
redis.call('HSET', meta, 'attempt', attempt, 'state', ARGV[4], 'end', id, 'outcome', ARGV[5])
redis.call('PEXPIRE', meta, ARGV[7])
redis.call('DEL', KEYS[3], KEYS[4])
if id ~= '' then
  redis.call(ARGV[1], KEYS[5], '1 ' .. id .. ' ' .. ARGV[3] .. '\n' .. ARGV[5])
end
return verdict
