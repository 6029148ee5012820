-- A producer's sign of life: renew the lease and all times to live, tell readers the newest entry's id.
-- KEYS  1 log, 2 meta, 3 lease, 4 ctl, 5 live channel
-- ARGV  1 PUBLISH or SPUBLISH, 2 attempt, 3 milliseconds to keep the log, 4 to keep meta, 5 of the lease
-- Returns {OK, what ctl holds or ""}; {STALE, ""}; {GONE, ""} when the log is missing.
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not top then return {'GONE', ''} end
if tonumber(string.match(top[1], '^%d+')) > tonumber(ARGV[2]) then return {'STALE', ''} end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call(ARGV[1], KEYS[5], '1 ' .. top[1] .. ' h\n')
return {'OK', redis.call('GET', KEYS[4]) or ''}
