-- Set when an output prefix is looked at next, or forget a prefix under which nothing is awaited.
-- KEYS  1 pending rows of the prefix, 2 prefixes
-- ARGV  1 prefix, 2 time of the next look
-- Returns 1 when it is kept.
if redis.call('ZCARD', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
