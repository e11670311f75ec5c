-- Record the end of an attempt. outcome is one of
--   'done'
--   'failed'     kept_seconds for the failure; clients are refused for refused_seconds of them
--   'retry'      failed, and another attempt after delay_seconds; a failure if a client waits for it by now
--   'keep-on'    the same, and the attempt does not count: a changed master, or a store that fails, is tried until it works
--   'alone'      another attempt soon, which shares its time limit with no other job; this one is not counted
--   'untried'    nothing was tried: another attempt after delay_seconds, and this one is not counted
-- -> 1, or 0 if the token is not valid any more
-- A worker whose lease ran out by mistake still reports, as long as no other worker has begun the job (see renew.lua).
-- origin_failed is '1' if the origin failed it, as it may fail others: the job is tried again soon after that outage.
local function note_stalled(key)
  redis.call('SADD', KEY.stalled, key)
  redis.call('EXPIRE', KEY.stalled, UNFINISHED_KEPT)
  redis.call('HSETNX', KEY.outage, 'failed', 0)
  redis.call('EXPIRE', KEY.outage, 86400)
end

local key, outcome = ARG.key, ARG.outcome
local state, token, expired_token, lane = unpack(redis.call('HMGET', KEY.job, 'state', 'token', 'expired_token', 'lane'))
local reaped = (state == 'queued' or state == 'quarantined') and expired_token == ARG.token
if not (state == 'running' and token == ARG.token) and not reaped then return 0 end

local source = source_of(key)
if source and redis.call('HGET', KEY.reading_prefix .. source, 'token') == ARG.token then
  redis.call('HSET', KEY.reading_prefix .. source, 'ended', now)  -- its process may begin the next job now
end

if outcome ~= 'untried' then redis.call('SREM', KEY.stalled, key) end
if outcome == 'done' then
  unindex(key)
  note_end(KEY.job, key, 'made')
  settle_in_batches(KEY.job, key, 'done')
  delete_ticket(key)
  redis.call('HSET', KEY.job, 'state', 'done', 'ended', now)
  redis.call('HDEL', KEY.job, 'token', 'message', 'expired_token')
  redis.call('EXPIRE', KEY.job, DONE_KEPT)
  redis.call('LPUSH', KEY.recent, redis.call('HGET', KEY.job, 'recipe'))
  redis.call('LTRIM', KEY.recent, 0, 399)
  redis.call('EXPIRE', KEY.recent, UNFINISHED_KEPT)
  redis.call('PUBLISH', KEY.ended, key)
elseif outcome == 'untried' or outcome == 'alone' then
  redis.call('HINCRBY', KEY.job, 'attempts', -1)
  if outcome == 'alone' then redis.call('HSET', KEY.job, 'alone', '1') end
  delay(KEY.job, key, tonumber(ARG.delay_seconds))
elseif (outcome == 'retry' or outcome == 'keep-on') and lane == 'bulk' then
  add_history(KEY.job, ARG.failure)
  redis.call('HSET', KEY.job, 'failure', ARG.failure)
  if outcome == 'keep-on' then
    redis.call('HINCRBY', KEY.job, 'attempts', -1)
    redis.call('HINCRBY', KEY.job, 'uncounted', 1)
    redis.call('EXPIRE', KEY.job, UNFINISHED_KEPT)
  end
  delay(KEY.job, key, tonumber(ARG.delay_seconds))
  if ARG.origin_failed == '1' then note_stalled(key) end
else
  add_history(KEY.job, ARG.failure)
  local kept, refused = math.max(tonumber(ARG.kept_seconds), 1), math.max(tonumber(ARG.refused_seconds), 1)
  remember_failure(KEY.job, key, 'failed', ARG.failure, kept, refused)
end
return 1
