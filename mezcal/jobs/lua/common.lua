-- Put before every script. KEYS, in this order:
--   1 job  2 queued:interactive  3 queued:bulk  4 running  5 later  6 failed  7 fence  8 ended (channel)
--   9 begun:interactive  10 begun:bulk  11 pipe interactive  12 pipe bulk  13 recent  14 breaker and
--   15 sick of the job's origin
-- The server's clock is the only one: workers' clocks may differ.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local LIVING = 90 * 86400        -- seconds for which a queued or running job is kept: nothing is for ever
local SETTLED = 60               -- seconds for which a done job can still be asked about

local function queued_in(lane) return lane == 'bulk' and KEYS[3] or KEYS[2] end
local function begun_in(lane) return lane == 'bulk' and KEYS[10] or KEYS[9] end
local function pipe_of(lane) return lane == 'bulk' and KEYS[12] or KEYS[11] end

-- Take a key out of every index: whatever it becomes next, it is in one of them at most.
local function unindex(key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
  redis.call('ZREM', KEYS[4], key)
  redis.call('ZREM', KEYS[5], key)
  redis.call('ZREM', KEYS[6], key)
end

local function enqueue(record, key, lane)
  unindex(key)
  redis.call('HSET', record, 'state', 'queued', 'lane', lane, 'queued', now)
  redis.call('HDEL', record, 'token', 'message', 'lapsed', 'failure', 'until')
  redis.call('EXPIRE', record, LIVING)
  redis.call('ZADD', queued_in(lane), now, key)
end

-- A job as if nobody had ever asked for it before.
local function start(record, key, lane, recipe, remake)
  redis.call('DEL', record)
  redis.call('HSET', record, 'recipe', recipe, 'attempts', 0, 'asked', now, 'remake', remake)
  enqueue(record, key, lane)
end

-- Keep a failure for so many seconds; askers are refused for as many of them as 'refused' says.
local function remember(record, key, state, failure, seconds, refused)
  unindex(key)
  redis.call('HSET', record, 'state', state, 'failure', failure, 'ended', now, 'until', now + (refused or seconds) * 1000)
  redis.call('HDEL', record, 'token', 'message', 'lapsed')
  redis.call('EXPIRE', record, seconds)
  redis.call('ZADD', KEYS[6], now + seconds * 1000, key)
  redis.call('PUBLISH', KEYS[8], key)
end

local function put_off(record, key, seconds)
  unindex(key)
  redis.call('HSET', record, 'state', 'later')
  redis.call('HDEL', record, 'token', 'message', 'lapsed')
  redis.call('ZADD', KEYS[5], now + seconds * 1000, key)
end

-- One line of history per attempt that came to nothing, the newest ten.
local function note(record, what)
  local past = cjson.decode(redis.call('HGET', record, 'history') or '[]')
  past[#past + 1] = {at = now, attempt = tonumber(redis.call('HGET', record, 'attempts') or '0'),
                     worker = redis.call('HGET', record, 'worker') or '', what = what}
  while #past > 10 do table.remove(past, 1) end
  redis.call('HSET', record, 'history', cjson.encode(past))
end
