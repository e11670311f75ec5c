-- Give a chunk to a worker for held_seconds.
-- -> its body; '' if another worker holds it, it is done, or the bulk lane has ahead_max jobs
local body = redis.call('GET', KEY.chunk)
if not body then
  redis.call('ZREM', KEY.chunks, ARG.name)
  return ''
end
if redis.call('ZCARD', KEY.queued_bulk) + redis.call('ZCARD', KEY.delayed) >= tonumber(ARG.ahead_max) then
  redis.call('ZADD', KEY.chunks, now, ARG.name)
  return ''
end
if not redis.call('SET', KEY.held, '1', 'NX', 'EX', ARG.held_seconds) then return '' end
redis.call('ZADD', KEY.chunks, now + ARG.held_seconds * 1000, ARG.name)
return body
