-- Pay for one retry against an endpoint from the fleet's common budget (a token bucket).
-- KEYS  1 budget of the endpoint
-- ARGV  1 cost, 2 size of the bucket, 3 seconds to keep an unused bucket (negative cost gives back)
-- Returns 1 when paid, 0 when the budget does not cover it.
local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[2]) - ARGV[1]
if left < 0 then return 0 end
redis.call('SET', KEYS[1], math.min(left, tonumber(ARGV[2])), 'EX', ARGV[3])
return 1
