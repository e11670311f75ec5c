-- Queue again the jobs that no worker takes care of, at most ARG.limit for each reason. ARG.failure is recorded for
-- ARG.failure_seconds if no attempts are left.
-- -> {lane, recipe, lane, recipe, ..}: the caller sends the messages
local grace, limit = tonumber(ARG.grace_ms), tonumber(ARG.limit)
local messages = {}

-- After the clock stepped back, whatever is due at a time would wait for the whole step.
local step = tonumber(redis.call('GET', KEY.clock) or '0') - now
if step > CLOCK_TOLERANCE then
  local by_time = {KEY.running, KEY.delayed, KEY.failed, KEY.chunks, KEY.queued_interactive, KEY.queued_bulk, KEY.askers}
  for _, index in ipairs(by_time) do move_back(index, step) end
  move_back(KEY.workers, step / 1000)
  redis.call('DEL', KEY.begun_bulk)
end
redis.call('SET', KEY.clock, now, 'EX', UNFINISHED_KEPT)

local function add_message(record)
  messages[#messages + 1] = redis.call('HGET', record, 'lane')
  messages[#messages + 1] = redis.call('HGET', record, 'recipe')
end

-- Leases that ran out: the worker died, or cannot reach Redis.
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEY.running, '-inf', now, 'LIMIT', 0, limit)) do
  local record = KEY.job_prefix .. key
  local lane, attempts, token = unpack(redis.call('HMGET', record, 'lane', 'attempts', 'token'))
  local source = source_of(key)
  if not lane then
    unindex(key)
  else
    add_history(record, 'the worker died or lost its lease')
    if tonumber(attempts) >= tonumber(ARG.max_attempts) then
      remember_failure(record, key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
    else
      enqueue(record, key, lane)
      add_message(record)
    end
    redis.call('HSET', record, 'expired_token', token)
    if source then add_held_messages(source, messages) end
  end
end

-- Delayed jobs whose time has come.
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEY.delayed, '-inf', now, 'LIMIT', 0, limit)) do
  local record = KEY.job_prefix .. key
  local lane = redis.call('HGET', record, 'lane')
  if lane then
    enqueue(record, key, lane)
    add_message(record)
  else
    unindex(key)
  end
end

-- Messages that were lost: no message is left though the job is queued, or, in the bulk lane, a job that was queued later
-- has begun. A message of the interactive lane is for whichever job has its turn, so none of them waits for its own.
for _, lane in ipairs({'interactive', 'bulk'}) do
  local last = now - grace
  if redis.call('LLEN', KEY['messages_' .. lane]) > 0 then
    local begun = lane == 'bulk' and tonumber(redis.call('GET', KEY.begun_bulk) or '0') or 0
    last = math.min(last, begun - grace)
  end
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', queued_in(lane), '-inf', last, 'LIMIT', 0, limit)) do
    local record = KEY.job_prefix .. key
    if is_held_back(key, lane) then  -- it needs no message; those in bulk make place for others of this sweep
      if lane == 'bulk' then redis.call('ZADD', queued_in(lane), now, key) end
    elseif redis.call('EXISTS', record) == 1 then
      redis.call('HSET', record, 'queued', now)
      redis.call('HDEL', record, 'held')
      redis.call('ZADD', queued_in(lane), now, key)
      if lane == 'interactive' then give_turn(record, key) end  -- it has one already, unless Redis has lost it
      add_message(record)
    else
      redis.call('ZREM', queued_in(lane), key)
    end
  end
end

-- Failures that are no longer remembered.
redis.call('ZREMRANGEBYSCORE', KEY.failed, '-inf', now)
return messages
