-- Open a feed, unless it is open: a new one, or another attempt at one that has ended or lost its log.
-- KEYS  1 log, 2 meta, 3 seen, 4 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 payload of the open frame, 3 content type, 4 framing, 5 milliseconds to keep it all
-- Returns the attempt.
local log, meta, seen = KEYS[1], KEYS[2], KEYS[3]
local fields = redis.call('HMGET', meta, 'state', 'attempt')
local attempt = tonumber(fields[2] or '0')
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if fields[1] ~= 'open' or not top then
  if top then attempt = math.max(attempt, tonumber(string.match(top[1], '^%d+'))) end
  attempt = attempt + 1
  -- What a reader finds first must not be the end of before.
  redis.call('DEL', log, meta, seen)
  local id = string.format('%.0f-0', attempt)
  redis.call('HSET', meta, 'attempt', attempt, 'state', 'open', 'content_type', ARGV[3], 'framing', ARGV[4],
    'feed', '1', 'end', id)
  redis.call('XADD', log, id, 'o', ARGV[2])
  redis.call(ARGV[1], KEYS[4], '1 ' .. id .. ' o\n' .. ARGV[2])
end
for _, key in ipairs({log, meta, seen}) do redis.call('PEXPIRE', key, ARGV[5]) end
return attempt
