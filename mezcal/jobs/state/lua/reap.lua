-- Put right what nobody else will. ARGV: unused, most attempts, quarantine's failure, its seconds, grace in ms,
--   job key prefix, how many of each at most
-- -> {key, lane, recipe, ..}: the jobs whose message the caller sends (again)
local most, grace, limit = tonumber(ARGV[2]), tonumber(ARGV[5]), tonumber(ARGV[7])
local send = {}

local function again(key)
  local record = ARGV[6] .. key
  send[#send + 1] = key
  send[#send + 1] = redis.call('HGET', record, 'lane')
  send[#send + 1] = redis.call('HGET', record, 'recipe')
end

-- Leases that ran out: the worker died, or cannot reach Redis.
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, limit)) do
  local record = ARGV[6] .. key
  local lane, attempts, token = unpack(redis.call('HMGET', record, 'lane', 'attempts', 'token'))
  if not lane then
    unindex(key)
  else
    note(record, 'the worker died or lost its lease')
    if tonumber(attempts) >= most then
      remember(record, key, 'quarantined', ARGV[3], tonumber(ARGV[4]))
      redis.call('HSET', record, 'lapsed', token)
    else
      enqueue(record, key, lane)
      redis.call('HSET', record, 'lapsed', token)
      again(key)
    end
  end
end

-- Back-offs that are over.
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, limit)) do
  local record = ARGV[6] .. key
  local lane = redis.call('HGET', record, 'lane')
  if lane then
    enqueue(record, key, lane)
    again(key)
  else
    unindex(key)
  end
end

-- Messages that were lost: the pipe is empty though the job waits, or later ones have overtaken it.
for _, lane in ipairs({'interactive', 'bulk'}) do
  local last = now - grace
  if redis.call('LLEN', pipe_of(lane)) > 0 then
    last = math.min(last, tonumber(redis.call('GET', begun_in(lane)) or '0') - grace)
  end
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', queued_in(lane), '-inf', last, 'LIMIT', 0, limit)) do
    local record = ARGV[6] .. key
    if redis.call('EXISTS', record) == 1 then
      redis.call('HSET', record, 'queued', now)
      redis.call('ZADD', queued_in(lane), now, key)
      again(key)
    else
      redis.call('ZREM', queued_in(lane), key)
    end
  end
end

-- Failures whose memory is over leave the index too.
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now)
return send
