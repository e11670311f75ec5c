-- The process that ran the task `message` of the job has ended, and its worker noticed. cause is one of
--   'died'       queued again, or quarantined with the failure if its attempts are used up
--   'killed'     it took too long, and the failure is final
--   'returned'   the worker shuts down: queued again, and the attempt is not counted
-- -> {lane, recipe}: the caller sends the message; {} if there is nothing to send: the job may have another worker
local state, message, lane, attempts = unpack(redis.call('HMGET', KEY.job, 'state', 'message', 'lane', 'attempts'))
if state ~= 'running' or message ~= ARG.message then return {} end

if ARG.cause == 'killed' then
  add_history(KEY.job, ARG.failure)
  remember_failure(KEY.job, ARG.key, 'failed', ARG.failure, tonumber(ARG.failure_seconds))
  return {}
end
add_history(KEY.job, ARG.cause == 'died' and 'its process died' or 'given back at shutdown')
if ARG.cause == 'returned' then
  redis.call('HINCRBY', KEY.job, 'attempts', -1)
elseif tonumber(attempts) >= tonumber(ARG.max_attempts) then
  remember_failure(KEY.job, ARG.key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
  return {}
end
enqueue(KEY.job, ARG.key, lane)
return {lane, redis.call('HGET', KEY.job, 'recipe')}
