-- Report the end of a running job. ARGV: key, token, end, failure, seconds
--   end 'done'; 'failed' (remembered for so many seconds, 0 = not at all); 'later' (queued again after so many
--   seconds); 'released' (queued again at once, the attempt not counted: the worker was told to stop)
-- -> 1, or 0 where the token is no longer the job's
local key, seconds = ARGV[1], tonumber(ARGV[5])
local state, token, lapsed, lane = unpack(redis.call('HMGET', KEYS[1], 'state', 'token', 'lapsed', 'lane'))
local mine = (state == 'running' and token == ARGV[2]) or (state == 'queued' and lapsed == ARGV[2])
if not mine then return 0 end

if ARGV[3] == 'done' then
  unindex(key)
  redis.call('HSET', KEYS[1], 'state', 'done', 'ended', now)
  redis.call('HDEL', KEYS[1], 'token', 'lapsed')
  redis.call('EXPIRE', KEYS[1], SETTLED)
  redis.call('LPUSH', KEYS[13], redis.call('HGET', KEYS[1], 'recipe'))
  redis.call('LTRIM', KEYS[13], 0, 23)
  redis.call('EXPIRE', KEYS[13], LIVING)
  redis.call('PUBLISH', KEYS[8], key)
elseif ARGV[3] == 'released' then
  note(KEYS[1], 'released')
  redis.call('HINCRBY', KEYS[1], 'attempts', -1)
  enqueue(KEYS[1], key, lane)
elseif ARGV[3] == 'later' then
  note(KEYS[1], ARGV[4])
  unindex(key)
  redis.call('HSET', KEYS[1], 'state', 'later', 'failure', ARGV[4])
  redis.call('HDEL', KEYS[1], 'token', 'lapsed')
  redis.call('ZADD', KEYS[5], now + seconds * 1000, key)
else
  note(KEYS[1], ARGV[4])
  remember(KEYS[1], key, 'failed', ARGV[4], math.max(seconds, 1))
end
return 1
