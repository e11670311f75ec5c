-- Queue again the jobs that no worker takes care of, at most ARG.limit for each reason. Of those that are held back, at
-- most ARG.held_limit are looked at. ARG.failure is recorded for
-- ARG.failure_seconds if no attempts are left.
-- -> {lane, recipe, lane, recipe, ..}: the caller sends the messages
local grace, limit, held_limit = tonumber(ARG.grace_ms), tonumber(ARG.limit), tonumber(ARG.held_limit)
local messages = {}

-- After the clock stepped back, whatever is due at a time would wait for the whole step.
local step = tonumber(redis.call('GET', KEY.clock) or '0') - now
if step > CLOCK_TOLERANCE then
  local by_time = {KEY.running, KEY.delayed, KEY.failed, KEY.chunks, KEY.queued_interactive, KEY.queued_bulk, KEY.held_back,
                   KEY.askers}
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

local function send_again(key, lane)
  local record = KEY.job_prefix .. key
  redis.call('HSET', record, 'queued', now)
  redis.call('ZREM', KEY.held_back, key)
  redis.call('ZADD', queued_in(lane), now, key)
  if lane == 'interactive' then give_turn(record, key) end  -- it has one already, unless Redis has lost it
  add_message(record)
end

-- Jobs whose messages were used up while they were held back for a process that will not begin them. Those that are still
-- held back are looked at again when all others were.
local sent = 0
for _, key in ipairs(redis.call('ZRANGE', KEY.held_back, 0, held_limit - 1)) do
  local state, lane = unpack(redis.call('HMGET', KEY.job_prefix .. key, 'state', 'lane'))
  if state ~= 'queued' then
    redis.call('ZREM', KEY.held_back, key)
  elseif is_held_back(key, lane) then
    redis.call('ZADD', KEY.held_back, now, key)
  elseif sent < limit then
    send_again(key, lane)
    sent = sent + 1
  end
end

-- Returns the time before which the lane's jobs were queued that have no message. That is so if the lane has none left,
-- or, in bulk, a job that was queued later has begun. A message of the interactive lane is for whichever job has its turn,
-- so none of them waits for its own.
local function lost_before(lane)
  if redis.call('LLEN', KEY['messages_' .. lane]) == 0 then return now - grace end
  local begun = lane == 'bulk' and tonumber(redis.call('GET', KEY.begun_bulk) or '0') or 0
  return math.min(now, begun) - grace
end

-- Messages that were lost. Jobs that are held back need none. In bulk they are passed over for this sweep and the next ones,
-- as if they had just been queued; the others keep their places, because clients see how long they have waited. If there
-- are more of them than a sweep may look at, the next sweep goes on behind them.
for _, lane in ipairs({'interactive', 'bulk'}) do
  local begin = lane == 'interactive' and tonumber(redis.call('GET', KEY.passed_over) or '0') or 0
  local last, first, passed, found = lost_before(lane), begin - 1, begin, 0
  while passed > first and passed - begin < held_limit and found < limit do  -- they may fill many pages
    first = passed
    local keys = redis.call('ZRANGEBYSCORE', queued_in(lane), '-inf', last, 'LIMIT', passed, limit - found)
    for _, key in ipairs(keys) do
      if redis.call('EXISTS', KEY.job_prefix .. key) == 0 then
        redis.call('ZREM', queued_in(lane), key)
      elseif not is_held_back(key, lane) then
        send_again(key, lane)
        found = found + 1
      elseif lane == 'bulk' then
        redis.call('ZADD', queued_in(lane), now, key)
        found = found + 1
      else
        passed = passed + 1
      end
    end
  end
  if passed - begin >= held_limit then
    redis.call('SET', KEY.passed_over, passed, 'EX', UNFINISHED_KEPT)
  elseif lane == 'interactive' then
    redis.call('DEL', KEY.passed_over)
  end
end

-- Failures that are no longer remembered.
redis.call('ZREMRANGEBYSCORE', KEY.failed, '-inf', now)
return messages
