-- Keep a lease. ARGV: key, token, lease in ms -> 1, or 0 where the job has gone to another or was forgotten.
-- A job that was reaped by mistake (its worker could not reach Redis for a while) is taken back while nobody
-- else has begun it: the token is kept in the record's 'lapsed' field. So is one that was put in quarantine with
-- that lease: nothing has died.
local key = ARGV[1]
local state, token, lapsed = unpack(redis.call('HMGET', KEYS[1], 'state', 'token', 'lapsed'))
if (state == 'queued' or state == 'quarantined') and lapsed == ARGV[2] then
  unindex(key)
  redis.call('HSET', KEYS[1], 'state', 'running', 'token', lapsed)
  redis.call('HDEL', KEYS[1], 'lapsed', 'failure', 'until', 'ended')
  redis.call('EXPIRE', KEYS[1], LIVING)
elseif state ~= 'running' or token ~= ARGV[2] then
  return 0
end
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[3]), key)
return 1
