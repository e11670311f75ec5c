-- Find chunks whose message is to be sent: the bulk lane was full, or the worker that held them has died.
-- -> their names, at most `limit`; {} while the bulk lane has ahead_max jobs
if redis.call('ZCARD', KEY.queued_bulk) + redis.call('ZCARD', KEY.delayed) >= tonumber(ARG.ahead_max) then return {} end
local due = redis.call('ZRANGEBYSCORE', KEY.chunks, '-inf', now, 'LIMIT', 0, ARG.limit)
for _, name in ipairs(due) do redis.call('ZADD', KEY.chunks, now + ARG.held_seconds * 1000, name) end
return due
