-- Decide for a row that is due whether its message is to be sent again, or its end told.
-- A row that was parked or whose owner died is sent. One that nobody began is sent when its message cannot be
-- waiting: its queue is empty, or a message sent later than its own was begun.
-- KEYS  1 row
-- ARGV  1 base of all keys, 2 id, 3 "1" when the row's queue is empty, 4 seconds until a message counts as late,
--       5 sends since the last run that end it, 6 the call: the client repeats one whose answer was lost
-- Returns {verdict, signature}; verdicts: SEND, LOST (sent too often, never begun), TELL (whoever ended it did not live
--         to say so), WAIT.
local row, base, id = KEYS[1], ARGV[1], ARGV[2]
local fields = redis.call('HMGET', row, 'state', 'ready', 'not_before', 'lost', 'lane', 'seq', 'sends', 'signature', 'untold', 'call')
local state = fields[1]
if not fields[9] and state ~= 'ACCEPTED' and not (state == 'SUBMITTED' and fields[2]) then
  redis.call('ZREM', base .. 'due', id)
  return {'WAIT', ''}
end
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
if fields[10] == ARGV[6] then return {fields[9] and 'TELL' or 'SEND', fields[8]} end
-- Since the caller looked, another clock may have sent it, or a run may have parked it.
local due = redis.call('ZSCORE', base .. 'due', id)
if due and tonumber(due) > now then return {'WAIT', ''} end
if fields[9] then
  redis.call('ZADD', base .. 'due', now + ARGV[4], id)
  redis.call('HSET', row, 'call', ARGV[6])
  return {'TELL', fields[8]}
end
local sends = tonumber(fields[7])
if not fields[3] and not fields[4] then
  local started = tonumber(redis.call('HGET', base .. 'started', fields[5]) or 0)
  if ARGV[3] ~= '1' and started <= tonumber(fields[6]) then
    redis.call('ZADD', base .. 'due', now + ARGV[4] / 4, id)
    return {'WAIT', ''}
  end
  if sends >= tonumber(ARGV[5]) then return {'LOST', fields[8]} end
end
redis.call('HSET', row, 'sends', sends + 1, 'seq', redis.call('INCR', base .. 'seq'), 'call', ARGV[6])
redis.call('HDEL', row, 'lost', 'not_before')
redis.call('ZADD', base .. 'due', now + ARGV[4] * 2 ^ sends, id)
return {'SEND', fields[8]}
