-- How the origin served a job, whose place there is free now. KEYS: breaker, sick, slots. ARGV: '1' if well, '0' if
--   not, '' if nothing is known, key, token, failures that open, window in seconds, seconds it rests at first, and at
--   most -> 1 if this opened the circuit
-- Failures are counted by job: one broken master, asked for again and again, opens nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[3], ARGV[3])
if ARGV[1] == '1' then redis.call('DEL', KEYS[1], KEYS[2]) end
if ARGV[1] ~= '0' then return 0 end

local since, opened = unpack(redis.call('HMGET', KEYS[1], 'until', 'opened'))
if since and now < tonumber(since) then return 0 end  -- it began before
if not since then
  redis.call('SADD', KEYS[2], ARGV[2])
  redis.call('EXPIRE', KEYS[2], tonumber(ARGV[5]))
  if redis.call('SCARD', KEYS[2]) < tonumber(ARGV[4]) then return 0 end
end
opened = tonumber(opened or '0')
local rest = math.min(tonumber(ARGV[6]) * 2 ^ opened, tonumber(ARGV[7]))
redis.call('HSET', KEYS[1], 'until', math.floor(now + rest * 1000), 'opened', opened + 1)
redis.call('HDEL', KEYS[1], 'probe')
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('DEL', KEYS[2])
return 1
