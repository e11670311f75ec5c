-- Renew a lease. -> 1, or 0 if the job was given to another worker or forgotten
-- A worker that could not reach Redis for a while gets its job back, even from quarantine, as long as no other worker
-- has begun it: the field `lapsed` holds the token of the lease that ran out.
local state, token, lapsed = unpack(redis.call('HMGET', KEY.job, 'state', 'token', 'lapsed'))
if (state == 'queued' or state == 'quarantined') and lapsed == ARG.token then
  unindex(ARG.key)
  redis.call('HSET', KEY.job, 'state', 'running', 'token', lapsed)
  redis.call('HDEL', KEY.job, 'lapsed', 'failure', 'refused_until', 'ended')
  redis.call('EXPIRE', KEY.job, UNFINISHED_KEPT)
elseif state ~= 'running' or token ~= ARG.token then
  return 0
end
redis.call('ZADD', KEY.running, now + tonumber(ARG.lease_ms), ARG.key)
return 1
