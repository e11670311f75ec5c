-- Give a queued job to a worker. Only one worker of all hosts gets it: the check and the change are one script.
-- ARG.failure is recorded for ARG.failure_seconds if no attempts are left.
-- -> {token, attempt, lane, remake, suspect, milliseconds in the queue}; {} if the job is not queued, or is
--   quarantined now
local state, lane, attempts, queued = unpack(redis.call('HMGET', KEY.job, 'state', 'lane', 'attempts', 'queued'))
if state ~= 'queued' then return {} end

redis.call('SET', KEY['begun_' .. lane], queued, 'EX', UNFINISHED_KEPT)
attempts = tonumber(attempts) + 1
if attempts > tonumber(ARG.max_attempts) then
  remember_failure(KEY.job, ARG.key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
  return {}
end
-- At least the clock in microseconds: tokens grow even if Redis has lost the last one.
local token = math.max(tonumber(redis.call('GET', KEY.fence) or '0') + 1, time[1] * 1000000 + time[2])
token = string.format('%.0f', token)
redis.call('SET', KEY.fence, token, 'EX', UNFINISHED_KEPT)
unindex(ARG.key)
redis.call('HDEL', KEY.job, 'expired_token')
redis.call('HSET', KEY.job, 'state', 'running', 'attempts', attempts, 'token', token, 'started', now,
           'worker', ARG.worker, 'message', ARG.message)
redis.call('ZADD', KEY.running, now + tonumber(ARG.lease_ms), ARG.key)
local suspect = redis.call('EXISTS', KEY.circuit, KEY.failing) > 0 and '1' or ''  -- its origin has failed lately
return {token, tostring(attempts), lane, redis.call('HGET', KEY.job, 'remake') or '', suspect, tostring(now - queued)}
