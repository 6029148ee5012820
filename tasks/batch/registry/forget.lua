-- Remove a job that has ended.
-- Returns 1, or 0 when it has not ended, or is not there.
local fields = redis.call('HMGET', job, 'state', 'token')
local state = fields[1]
if state ~= 'completed' and state ~= 'failed' and state ~= 'cancelled' and state ~= 'expired' then return 0 end
for _, name in ipairs({'', ':chunks', ':parts', ':progress', ':codes', ':samples'}) do redis.call('DEL', job .. name) end
if fields[2] and fields[2] ~= '' then redis.call('DEL', base .. 'token:' .. fields[2]) end
redis.call('ZREM', base .. 'jobs', id)
return 1
