-- Report the end of a running job. ARGV: key, token, end, failure, seconds until it is queued again, seconds for
--   which a failure is kept, seconds for which askers are refused
--   end 'done'; 'failed'; 'later' (queued again after a while; failed where somebody waits for it by now);
--   'deferred' (queued again after a while, the attempt not counted: nothing was tried); 'released' (at once, not
--   counted)
-- -> 1, or 0 where the token is no longer the job's
local key, seconds = ARGV[1], tonumber(ARGV[5])
local state, token, lapsed, lane = unpack(redis.call('HMGET', KEYS[1], 'state', 'token', 'lapsed', 'lane'))
local reaped = (state == 'queued' or state == 'quarantined') and lapsed == ARGV[2]
local mine = (state == 'running' and token == ARGV[2]) or reaped
if not mine then return 0 end

if ARGV[3] == 'done' then
  unindex(key)
  tell(KEYS[1], key, 'done')
  redis.call('HSET', KEYS[1], 'state', 'done', 'ended', now)
  redis.call('HDEL', KEYS[1], 'token', 'message', 'lapsed')
  redis.call('EXPIRE', KEYS[1], SETTLED)
  redis.call('LPUSH', KEYS[13], redis.call('HGET', KEYS[1], 'recipe'))
  redis.call('LTRIM', KEYS[13], 0, 23)
  redis.call('EXPIRE', KEYS[13], LIVING)
  redis.call('PUBLISH', KEYS[8], key)
elseif ARGV[3] == 'released' then
  note(KEYS[1], 'released')
  redis.call('HINCRBY', KEYS[1], 'attempts', -1)
  enqueue(KEYS[1], key, lane)
elseif ARGV[3] == 'deferred' then
  redis.call('HINCRBY', KEYS[1], 'attempts', -1)
  put_off(KEYS[1], key, seconds)
elseif ARGV[3] == 'later' and lane == 'bulk' then
  note(KEYS[1], ARGV[4])
  redis.call('HSET', KEYS[1], 'failure', ARGV[4])
  put_off(KEYS[1], key, seconds)
else
  note(KEYS[1], ARGV[4])
  remember(KEYS[1], key, 'failed', ARGV[4], math.max(tonumber(ARGV[6]), 1), math.max(tonumber(ARGV[7]), 1))
end
return 1
