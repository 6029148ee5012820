-- Begin no more records of a job: it was cancelled, has expired, or cannot go on.
-- ARGV  3 what becomes of records without an outcome: cancelled, expired or failed, 4 reason (JSON or empty)
-- Returns the job's state, or nothing when there is no such job.
local state = redis.call('HGET', job, 'state')
if not state then return false end
redis.call('ZREM', base .. 'expiring', id)
if state ~= 'validating' and state ~= 'in_progress' then return state end
redis.call('HSET', job, 'state', 'cancelling', 'ending', ARGV[3], 'cancelling_at', now)
if ARGV[4] ~= '' then redis.call('HSET', job, 'reason', ARGV[4]) end
redis.call('DEL', job .. ':pending')
redis.call('ZREM', base .. 'active', id)
if redis.call('HLEN', job .. ':running') == 0 then finalize() end
return redis.call('HGET', job, 'state')
