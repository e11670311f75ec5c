-- The process that ran the task ARG.message has ended, and its worker noticed. cause is one of
--   'died'       its job is queued again, or quarantined with the failure if its attempts are used up
--   'killed'     it took too long, and the failure is final. A job whose lease ran out is left to the reaper: it may have
--                ended long ago, while its worker waited for Redis and could not see that
--   'returned'   the worker shuts down: queued again, and the attempt is not counted
-- -> {key, lane, recipe, '1' if the caller sends the message}; {} if the task has no running job: another worker may
--   have it
local function job_of(message)
  for _, key in ipairs(redis.call('ZRANGE', KEY.running, 0, -1)) do
    if redis.call('HGET', KEY.job_prefix .. key, 'message') == message then return key end
  end
end

local key = job_of(ARG.message)
if not key then return {} end
local record = KEY.job_prefix .. key
local lane, attempts, recipe = unpack(redis.call('HMGET', record, 'lane', 'attempts', 'recipe'))

if ARG.cause == 'killed' and tonumber(redis.call('ZSCORE', KEY.running, key)) < now then return {} end
if ARG.cause == 'killed' then
  add_history(record, ARG.failure)
  remember_failure(record, key, 'failed', ARG.failure, tonumber(ARG.failure_seconds))
  return {key, lane, recipe, ''}
end
add_history(record, ARG.cause == 'died' and 'its process died' or 'given back at shutdown')
if ARG.cause == 'returned' then
  redis.call('HINCRBY', record, 'attempts', -1)
elseif tonumber(attempts) >= tonumber(ARG.max_attempts) then
  remember_failure(record, key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
  return {key, lane, recipe, ''}
end
enqueue(record, key, lane)
return {key, lane, recipe, '1'}
