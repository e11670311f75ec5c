-- Let a job read from its origin, if there is a free place and the origin is not paused.
-- -> {'admitted'}, {'full'}, or {'paused', milliseconds left}
local held_until = redis.call('ZSCORE', KEY.places, ARG.token)
if held_until and tonumber(held_until) > now then return {'admitted'} end  -- it opens one more of its masters
local paused_at, paused_until, probe_at, probe_until =
  unpack(redis.call('HMGET', KEY.circuit, 'paused_at', 'paused_until', 'probe_at', 'probe_until'))
if paused_until then
  local left = math.max(time_left(paused_at, paused_until), time_left(probe_at, probe_until))
  if left > 0 then return {'paused', tostring(left)} end
end
redis.call('ZREMRANGEBYSCORE', KEY.places, '-inf', now)
-- Places that end later than a new one would are from before the clock stepped back. Those of living jobs are renewed.
local latest = now + tonumber(ARG.lease_ms)
for _, token in ipairs(redis.call('ZRANGEBYSCORE', KEY.places, latest + CLOCK_TOLERANCE, '+inf')) do
  redis.call('ZADD', KEY.places, latest, token)
end
local places = tonumber(ARG.places)
if places > 0 and redis.call('ZCARD', KEY.places) >= places then return {'full'} end
if paused_until then  -- after a pause one job at a time probes the origin
  redis.call('HSET', KEY.circuit, 'probe_at', now, 'probe_until', now + tonumber(ARG.probe_ms))
end
redis.call('ZADD', KEY.places, latest, ARG.token)
redis.call('EXPIRE', KEY.places, 86400)
return {'admitted'}
