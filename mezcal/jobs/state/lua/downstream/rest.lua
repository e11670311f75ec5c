-- Record a failure of a hook, and let it rest: for first_ms, doubled with each failure in a row, at most longest_ms; but
-- least_ms at least.
-- -> the milliseconds
local count = redis.call('HINCRBY', KEY.fault, 'count', 1)
local pause = math.min(tonumber(ARG.longest_ms), tonumber(ARG.first_ms) * 2 ^ math.min(count - 1, 20))
pause = math.max(pause, tonumber(ARG.least_ms))
redis.call('HSETNX', KEY.fault, 'since', now)
redis.call('HSET', KEY.fault, 'reason', ARG.reason, 'at', now, 'until', now + pause)
redis.call('EXPIRE', KEY.fault, HOOK_KEPT)
return pause
