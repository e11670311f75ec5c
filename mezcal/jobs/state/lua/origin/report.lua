-- Free a job's place at its origin, and record how the origin answered it: outcome is 'healthy', 'failing' or '' if that
-- is not known. failures_max jobs that failed within window_seconds pause the origin: for pause_seconds at first, twice
-- as long after each failed probe, pause_max_seconds at most.
-- -> 1 if this paused the origin
-- Failures are counted by job: one broken master, asked for again and again, pauses nothing.
redis.call('ZREM', KEY.places, ARG.token)
if ARG.outcome == 'healthy' then redis.call('DEL', KEY.circuit, KEY.failing) end
if ARG.outcome ~= 'failing' then return 0 end

local paused_at, paused_until, pauses =
  unpack(redis.call('HMGET', KEY.circuit, 'paused_at', 'paused_until', 'pauses'))
if paused_until and time_left(paused_at, paused_until) > 0 then return 0 end  -- the job began before the pause
if not paused_until then
  redis.call('SADD', KEY.failing, ARG.key)
  redis.call('EXPIRE', KEY.failing, tonumber(ARG.window_seconds))
  if redis.call('SCARD', KEY.failing) < tonumber(ARG.failures_max) then return 0 end
end
pauses = tonumber(pauses or '0')
local pause = math.min(tonumber(ARG.pause_seconds) * 2 ^ pauses, tonumber(ARG.pause_max_seconds))
local ends = math.floor(now + pause * 1000)
redis.call('HSET', KEY.circuit, 'paused_at', now, 'paused_until', ends, 'pauses', pauses + 1)
redis.call('HDEL', KEY.circuit, 'probe_at', 'probe_until')
redis.call('EXPIRE', KEY.circuit, 86400)
redis.call('DEL', KEY.failing)
return 1
