-- Renew a lease. -> 1, or 0 if the job was given to another worker or forgotten
-- A worker that could not reach Redis for a while gets its job back, even from quarantine, as long as no other worker
-- has begun it: the field `expired_token` holds the token of the lease that ran out.
local state, token, expired_token = unpack(redis.call('HMGET', KEY.job, 'state', 'token', 'expired_token'))
if (state == 'queued' or state == 'quarantined') and expired_token == ARG.token then
  unindex(ARG.key)
  redis.call('HSET', KEY.job, 'state', 'running', 'token', expired_token)
  redis.call('HDEL', KEY.job, 'expired_token', 'failure', 'refused_until', 'ended')
  redis.call('EXPIRE', KEY.job, UNFINISHED_KEPT)
elseif state ~= 'running' or token ~= ARG.token then
  return 0
end
redis.call('ZADD', KEY.running, now + tonumber(ARG.lease_ms), ARG.key)
return 1
