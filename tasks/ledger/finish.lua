-- Move a row to its one final state.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 owner, 4 run, 5 final state, 6 reason (JSON or empty), 7 seconds to keep the row,
--       8 code of the reason or empty, 9 the call: the client repeats one whose answer was lost,
--       10 with an empty owner: seconds that the caller has to tell of the end, until the clock does it
--       With an empty owner any row may be ended that has neither a final state nor an outcome to deliver.
-- Returns 1, also to a call that is repeated, or 0 when the row had ended or is not the caller's.
local row, base, id, owner = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local fields = redis.call('HMGET', row, 'state', 'owner', 'run', 'prefix', 'outcome', 'task', 'call', 'collecting', 'signature')
local state = fields[1]
if not state then return 0 end
if state == 'SUCCEEDED' or state == 'FAILED' or state == 'REVOKED' or state == 'EXPIRED' then
  return fields[7] == ARGV[9] and 1 or 0
end
if owner == '' then
  if fields[5] then return 0 end
elseif state ~= 'RUNNING' or fields[2] ~= owner or fields[3] ~= ARGV[4] then return 0 end
local t = redis.call('TIME')
redis.call('HSET', row, 'state', ARGV[5], 'updated_at', t[1] + t[2] / 1e6, 'call', ARGV[9])
if ARGV[6] ~= '' then redis.call('HSET', row, 'reason', ARGV[6]) end
if owner == '' then
  -- Celery has not heard of it: what the message calls then is needed until it has.
  redis.call('HSET', row, 'untold', 1, 'signature', fields[8] or fields[9])
  redis.call('ZADD', base .. 'due', t[1] + t[2] / 1e6 + ARGV[10], id)
else
  redis.call('HDEL', row, 'signature')
  redis.call('ZREM', base .. 'due', id)
end
redis.call('HDEL', row, 'collecting', 'outcome', 'owner', 'not_before', 'lost', 'intent')
if fields[2] then redis.call('SREM', base .. 'running:' .. fields[2], id) end
if fields[4] then redis.call('ZREM', base .. 'pending:' .. fields[4], id) end
redis.call('HINCRBY', base .. 'counts', ARGV[5], 1)
redis.call('HINCRBY', base .. 'tally', fields[6] .. '|' .. ARGV[5] .. '|' .. ARGV[8], 1)
redis.call('EXPIRE', row, ARGV[7])
return 1
