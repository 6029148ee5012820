-- Forget a schedule and its runs; what is running goes on.
-- ARGV  3... entries of RedBeat's index
-- Returns 1, or 0 when there was no such schedule.
local there = redis.call('DEL', schedule)
redis.call('DEL', runs, order)
redis.call('SREM', base .. 'schedules', name)
redis.call('HDEL', base .. 'schedules:going', name)
for i = 3, #ARGV do redis.call('ZREM', index, ARGV[i]) end
return there
