-- Comes before every script. KEY and ARG, which scripts.py writes above this, name the keys and arguments of the call.
-- The server's clock is the only one: the clocks of workers may differ. Times are milliseconds since 1970.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local UNFINISHED_KEPT = 90 * 86400  -- seconds for which a queued or running job is kept: no key stays for ever
