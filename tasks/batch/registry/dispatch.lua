-- Give free slots to chunks: to the job with the fewest running ones, of those to the one served longest ago.
-- KEYS  1 active jobs
-- ARGV  1 base of all keys, 2 empty, 3 jobs to look at, then task ids, one for each chunk that may be given
-- Returns {job, chunk, task} for each chunk that was given, also to a call that is repeated: the client repeats one
--         whose answer was lost.
local answer = base .. 'given:' .. ARGV[4]
local before = redis.call('GET', answer)
if before then return cjson.decode(before) end
local free = -redis.call('ZCARD', base .. 'inflight')
redis.call('ZREMRANGEBYSCORE', base .. 'workers', '-inf', now)
for _, worker in ipairs(redis.call('ZRANGE', base .. 'workers', 0, -1)) do
  free = free + string.match(worker, '(%d+)$')
end
local given, jobs = {}, {}
if free <= 0 then return given end
for order, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[3] - 1)) do
  local key = base .. 'job:' .. name
  local most = tonumber(redis.call('HGET', key, 'max_chunks') or 0)
  jobs[order] = {id = name, key = key, running = redis.call('HLEN', key .. ':running'), most = most, order = order}
end
local function pick()
  local best, chunk
  for _, one in ipairs(jobs) do
    local may = not one.spent and (one.most == 0 or one.running < one.most)
    if may and (not best or one.running < best.running or (one.running == best.running and one.order < best.order)) then
      local found = redis.call('ZRANGEBYSCORE', one.key .. ':pending', '-inf', now, 'LIMIT', 0, 1)[1]
      if found then best, chunk = one, found else one.spent = true end
    end
  end
  return best, chunk
end
for i = 4, #ARGV do
  local one, chunk = pick()
  if free <= 0 or not one then break end
  redis.call('ZREM', one.key .. ':pending', chunk)
  redis.call('HSET', one.key .. ':running', chunk, ARGV[i] .. ' 0 0')
  redis.call('ZADD', base .. 'inflight', now, one.id .. ':' .. chunk)
  if redis.call('ZCARD', one.key .. ':pending') == 0 then redis.call('ZREM', KEYS[1], one.id)
  else redis.call('ZADD', KEYS[1], turn(), one.id) end
  one.running, one.order, free = one.running + 1, #jobs + i, free - 1
  given[#given + 1] = {one.id, chunk, ARGV[i]}
end
-- For longer than a worker's client goes on trying.
if given[1] then redis.call('SET', answer, cjson.encode(given), 'EX', 120) end
return given
