-- Ask the producer to cancel; one that opens the stream later finds the wish, too.
-- KEYS  1 meta, 2 ctl (key and channel)
-- ARGV  1 PUBLISH or SPUBLISH, 2 milliseconds to keep the wish
-- Returns the stream's state: "open", how it ended (then nothing is asked), or "" when nobody has opened it.
local state = redis.call('HGET', KEYS[1], 'state') or ''
if state ~= '' and state ~= 'open' then return state end
redis.call('SET', KEYS[2], 'cancel', 'PX', ARGV[2])
redis.call(ARGV[1], KEYS[2], 'cancel')
return state
