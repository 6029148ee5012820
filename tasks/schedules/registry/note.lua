-- Note what a run has started.
-- ARGV  3 id of the run, 4 id of the task or of the batch job, 5 kind: of the settings that were used, which may be
--       newer than the run
-- Returns 1, or 0 when the run has been replaced or ended: what it started is to be stopped. What a schedule that
-- was removed has started goes on.
local run = load(ARGV[3])
if not run then return 1 end
run.target, run.kind = ARGV[4], ARGV[5]
save(run)
return run.state == 'RUNNING' and 1 or 0
