-- Free a job's place at its origin, and record how the origin answered it: outcome is 'healthy', 'failing', 'refusing' (of
-- a probe alone: it answers, but with no master, so a pause would not help) or '' if that is not known. failures_max jobs
-- that failed within window_seconds pause the origin: for pause_seconds at first, twice as long after each failed probe,
-- pause_max_seconds at most. probe is '1' if no job but the chore has asked, for a master that was read before.
-- -> 1 if this paused the origin
-- Failures are counted by job: one broken master, asked for again and again, pauses nothing.
local RELEASED_EACH_MS = 50          -- jobs that are tried again after an outage, one after the other
local RELEASED_ONCE_MS = 10 * 60000  -- an origin that comes and goes does not have the same job tried each time

-- The origin was away and is back: have the jobs that it failed tried again soon. Their pauses begin again.
local function release()
  local due = now
  for _, key in ipairs(redis.call('SMEMBERS', KEY.stalled)) do
    local record = KEY.job_prefix .. key
    local before = tonumber(redis.call('HGET', record, 'released') or '0')
    local again = before <= now and now - before < RELEASED_ONCE_MS
    local delayed_until = redis.call('ZSCORE', KEY.delayed, key)
    if delayed_until and not again then
      due = due + RELEASED_EACH_MS
      redis.call('HSET', record, 'released', now)
      redis.call('HDEL', record, 'uncounted')
      redis.call('ZADD', KEY.delayed, math.min(due, tonumber(delayed_until)), key)
    end
  end
  redis.call('DEL', KEY.stalled)
end

redis.call('ZREM', KEY.places, ARG.token)
local paused_at, paused_until, pauses =
  unpack(redis.call('HMGET', KEY.circuit, 'paused_at', 'paused_until', 'pauses'))
pauses = tonumber(pauses or '0')
if ARG.outcome == 'healthy' then
  -- A second pause follows a failed probe. Jobs that failed before a single one have their next attempt soon anyway.
  if pauses > 1 or tonumber(redis.call('HGET', KEY.outage, 'failed') or '0') > 0 then release() end
  redis.call('DEL', KEY.circuit, KEY.failing, KEY.outage)
end
if ARG.outcome ~= 'failing' and ARG.outcome ~= 'refusing' then return 0 end

if ARG.probe == '1' then
  redis.call('HINCRBY', KEY.outage, 'failed', 1)
  redis.call('EXPIRE', KEY.outage, 86400)
  if not paused_until or ARG.outcome == 'refusing' then return 0 end
end
if paused_until and time_left(paused_at, paused_until) > 0 then return 0 end  -- the job began before the pause
if not paused_until then
  redis.call('SADD', KEY.failing, ARG.key)
  redis.call('EXPIRE', KEY.failing, tonumber(ARG.window_seconds))
  if redis.call('SCARD', KEY.failing) < tonumber(ARG.failures_max) then return 0 end
end
local pause = math.min(tonumber(ARG.pause_seconds) * 2 ^ pauses, tonumber(ARG.pause_max_seconds))
local ends = math.floor(now + pause * 1000)
redis.call('HSET', KEY.circuit, 'paused_at', now, 'paused_until', ends, 'pauses', pauses + 1)
redis.call('HDEL', KEY.circuit, 'probe_at', 'probe_until')
redis.call('EXPIRE', KEY.circuit, 86400)
redis.call('DEL', KEY.failing)
return 1
