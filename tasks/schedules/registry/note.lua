-- Note what a run has started.
-- ARGV  3 id of the run, 4 id of the task or of the batch job
-- Returns 1, or 0 when the run has been replaced or ended: what it started is to be stopped. What a schedule that
-- was removed has started goes on.
local run = load(ARGV[3])
if not run then return 1 end
run.target = ARGV[4]
save(run)
return run.state == 'RUNNING' and 1 or 0
