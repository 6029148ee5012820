-- Append frames and publish them; those that are in the log already are skipped, so a repeated call is harmless.
-- KEYS  1 log, 2 meta, 3 lease, 4 ctl, 5 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 attempt, 3 milliseconds to keep the log, 4 to keep meta, 5 entries to keep,
--       6 content type, 7 framing (empty: as before), then first seq, last seq, kind, payload of each frame
-- Returns OK; STALE: a later attempt has taken over; GONE: the log is missing, or its end is.
local log, attempt = KEYS[1], tonumber(ARGV[2])
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not top then return 'GONE' end
local top_attempt, top_seq = string.match(top[1], '^(%d+)-(%d+)$')
if tonumber(top_attempt) > attempt then return 'STALE' end
if tonumber(top_attempt) < attempt then return 'GONE' end
local last = tonumber(top_seq)
-- Before the frames: whoever hears one may look at once.
if ARGV[7] ~= '' then redis.call('HSET', KEYS[2], 'content_type', ARGV[6], 'framing', ARGV[7]) end
for i = 8, #ARGV, 4 do
  if tonumber(ARGV[i + 1]) > last then
    -- A server that restarted may have lost its last second: what is missing must not be papered over.
    if tonumber(ARGV[i]) ~= last + 1 then return 'GONE' end
    local id = ARGV[2] .. '-' .. ARGV[i + 1]
    redis.call('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[5], id, ARGV[i + 2], ARGV[i + 3])
    redis.call(ARGV[1], KEYS[5], '1 ' .. id .. ' ' .. ARGV[i + 2] .. '\n' .. ARGV[i + 3])
    last = tonumber(ARGV[i + 1])
  end
end
redis.call('PEXPIRE', log, ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 'OK'
