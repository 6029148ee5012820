-- Append a record to a feed and publish it. Its number is taken here: any number of processes may write.
-- KEYS  1 log, 2 meta, 3 seen (keys of the newest records, by their numbers), 4 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 the record's key, 3 the record, 4 records to keep, 5 keys to keep,
--       6 milliseconds to keep it all
-- Returns OK; KNOWN: a record with this key is there, or was; ENDED; ABSENT: nobody has opened the feed.
local log, meta, seen = KEYS[1], KEYS[2], KEYS[3]
local fields = redis.call('HMGET', meta, 'state', 'attempt')
if fields[1] and fields[1] ~= 'open' then return 'ENDED' end
local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not fields[1] or not top then return 'ABSENT' end
if redis.call('ZSCORE', seen, ARGV[2]) then return 'KNOWN' end
local seq = string.format('%.0f', tonumber(string.match(top[1], '-(%d+)$')) + 1)
local id = fields[2] .. '-' .. seq
redis.call('XADD', log, 'NOMKSTREAM', 'MAXLEN', ARGV[4], id, 'p', ARGV[3])
redis.call('HSET', meta, 'end', id)
redis.call('ZADD', seen, seq, ARGV[2])
redis.call('ZREMRANGEBYRANK', seen, 0, -1 - tonumber(ARGV[5]))
for _, key in ipairs({log, meta, seen}) do redis.call('PEXPIRE', key, ARGV[6]) end
redis.call(ARGV[1], KEYS[4], '1 ' .. id .. ' p\n' .. ARGV[3])
return 'OK'
