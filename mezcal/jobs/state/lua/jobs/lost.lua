-- The process that ran the task ARG.message has ended, and its worker noticed. cause is one of
--   'died'       its job is queued again, or quarantined with the failure if its attempts are used up
--   'killed'     it took too long, and the failure is final. A job whose lease ran out is left to the reaper: it may have
--                ended long ago, while its worker waited for Redis and could not see that
--   'returned'   the worker shuts down: queued again, and the attempt is not counted
-- -> {key, lane, recipe, lane, recipe, ..}: the caller sends the messages after the key, the lane and the recipe of the job,
--   of that job itself and of others; {} if the task has no running job: another worker may have it
-- A job that was killed after others of its task, with which it shared the time limit, is queued again, to be made alone.
local function job_of(message)
  for _, key in ipairs(redis.call('ZRANGE', KEY.running, 0, -1)) do
    if redis.call('HGET', KEY.job_prefix .. key, 'message') == message then return key end
  end
end

local key = job_of(ARG.message)
if not key then return {} end
local record = KEY.job_prefix .. key
local lane, attempts, recipe, companion =
  unpack(redis.call('HMGET', record, 'lane', 'attempts', 'recipe', 'companion'))
local source = source_of(key)

local function answer(queued)
  local messages = {key, lane, recipe, unpack(queued and {lane, recipe} or {})}
  if source then add_held_messages(source, messages) end
  return messages
end

if ARG.cause == 'killed' and tonumber(redis.call('ZSCORE', KEY.running, key)) < now then return {} end
if ARG.cause == 'killed' and not companion then
  add_history(record, ARG.failure)
  remember_failure(record, key, 'failed', ARG.failure, tonumber(ARG.failure_seconds))
  return answer(false)
end
local HISTORY = {
  died = 'its process died', returned = 'given back at shutdown',
  killed = 'it shared its time limit with other jobs, and needs it alone',
}
add_history(record, HISTORY[ARG.cause])
if ARG.cause ~= 'died' then
  redis.call('HINCRBY', record, 'attempts', -1)
  if ARG.cause == 'killed' then redis.call('HSET', record, 'alone', '1') end
elseif tonumber(attempts) >= tonumber(ARG.max_attempts) then
  remember_failure(record, key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
  return answer(false)
end
enqueue(record, key, lane)
return answer(true)
