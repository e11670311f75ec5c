-- Keep a lease. ARGV: key, token, lease in ms -> 1, or 0 where the job has gone to another or was forgotten.
-- A job that was reaped by mistake (its worker could not reach Redis for a while) is taken back while nobody
-- else has begun it: the token is still in its history of one, the record's 'lapsed' field.
local key = ARGV[1]
local state, token, lapsed = unpack(redis.call('HMGET', KEYS[1], 'state', 'token', 'lapsed'))
if state == 'queued' and lapsed == ARGV[2] then
  unindex(key)
  redis.call('HSET', KEYS[1], 'state', 'running', 'token', lapsed)
  redis.call('HDEL', KEYS[1], 'lapsed')
elseif state ~= 'running' or token ~= ARGV[2] then
  return 0
end
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[3]), key)
return 1
