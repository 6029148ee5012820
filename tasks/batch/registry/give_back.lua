-- Let another task have a chunk whose task is gone.
-- ARGV  3 chunk, 4 task, 5 seconds until it may run
-- Returns 1, or 0 when the chunk is not that task's.
if run_of(ARGV[3]) ~= ARGV[4] then return 0 end
leave(ARGV[3])
wait(ARGV[3], tonumber(ARGV[5]))
return 1
