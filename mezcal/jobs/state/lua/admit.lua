-- May a job ask its origin now? KEYS: breaker, slots. ARGV: token, lease in ms, places, milliseconds for a probe
-- -> {'go'}, {'full'}, or {'resting', ms left}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local opened, probe = unpack(redis.call('HMGET', KEYS[1], 'until', 'probe'))
if opened then
  local left = math.max(tonumber(opened), tonumber(probe or '0')) - now
  if left > 0 then return {'resting', tostring(left)} end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local places = tonumber(ARGV[3])
if places > 0 and redis.call('ZCARD', KEYS[2]) >= places then return {'full'} end
if opened then redis.call('HSET', KEYS[1], 'probe', now + tonumber(ARGV[4])) end  -- one at a time tries a sick one
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[2], 86400)
return {'go'}
