-- Write fields of a row that is still this run's.
-- KEYS  1 row
-- ARGV  1 owner, 2 run, then field, value, ... (an empty value deletes the field)
-- Returns 1, or 0 when the run was taken over or ended.
local fields = redis.call('HMGET', KEYS[1], 'state', 'owner', 'run')
if fields[1] ~= 'RUNNING' or fields[2] ~= ARGV[1] or fields[3] ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
