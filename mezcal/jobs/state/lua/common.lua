-- Put before every script. KEYS, in this order:
--   1 job  2 queued:interactive  3 queued:bulk  4 running  5 later  6 failed  7 fence  8 ended (channel)
--   9 begun:interactive  10 begun:bulk  11 pipe interactive  12 pipe bulk  13 recent  14 breaker and
--   15 sick of the job's origin  16 what the keys of batches begin with  17 items
-- The server's clock is the only one: workers' clocks may differ.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local LIVING = 90 * 86400        -- seconds for which a queued or running job is kept: nothing is for ever
local SETTLED = 60               -- seconds for which a done job can still be asked about
local BATCH = 7 * 86400          -- seconds for which a batch can be asked about after its last news
local LISTED = 100               -- failures and notes of a batch
local CROWDED = 2000             -- characters of names of batches that wait for one job: those behind count it as theirs no more

local function queued_in(lane) return lane == 'bulk' and KEYS[3] or KEYS[2] end
local function begun_in(lane) return lane == 'bulk' and KEYS[10] or KEYS[9] end
local function pipe_of(lane) return lane == 'bulk' and KEYS[12] or KEYS[11] end

-- Count news of a batch, and keep it for a while from then on; one that is no longer known stays so.
local function count(batch, what, number)
  redis.call('HINCRBY', batch, what, number)
  redis.call('HINCRBY', KEYS[17], what, number)
  redis.call('EXPIRE', KEYS[17], LIVING)
  redis.call('HSET', batch, 'last', now)
  for _, part in ipairs({'', ':spread', ':open', ':failed', ':notes'}) do redis.call('EXPIRE', batch .. part, BATCH) end
end

local function list(batch, part, what)
  redis.call('RPUSH', batch .. part, what)
  redis.call('LTRIM', batch .. part, 0, LISTED - 1)
end

-- Take a batch's item up, once however often its chunk is queued. at: its place, or '' where the caller sees to that.
local function taken(batch, at)
  return batch and batch ~= '' and at ~= '' and redis.call('GETBIT', KEYS[16] .. batch .. ':spread', at) == 1
end

-- Make a job, just queued or remembered as failed, part of a batch.
local function enter(record, key, batch, at, failed)
  local name = KEYS[16] .. (batch or '')
  if not batch or batch == '' or redis.call('EXISTS', name) == 0 then return end
  if at ~= '' then redis.call('SETBIT', name .. ':spread', at, 1) end
  local had = redis.call('HGET', record, 'batches') or ''
  if failed then
    list(name, ':failed', key)
    count(name, 'failed', 1)
  elseif #had > CROWDED or redis.call('SADD', name .. ':open', key) == 0 then
    count(name, 'repeated', 1)
  else
    redis.call('HSET', record, 'batches', had .. batch .. ' ')
    count(name, 'entered', 1)
  end
end

-- Tell the batches of a job how it ended; each hears of it once.
local function tell(record, key, how)
  for batch in string.gmatch(redis.call('HGET', record, 'batches') or '', '%S+') do
    local name = KEYS[16] .. batch
    if redis.call('EXISTS', name) == 1 and redis.call('SREM', name .. ':open', key) == 1 then
      if how == 'failed' then list(name, ':failed', key) end
      count(name, how, 1)
    end
  end
  redis.call('HDEL', record, 'batches')
end

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

-- A job as if nobody had ever asked for it before; but what was to be made anew and was not yet still is, and the
-- batches that wait for it go on.
local function start(record, key, lane, recipe, remake)
  local state, had, batches = unpack(redis.call('HMGET', record, 'state', 'remake', 'batches'))
  if state and state ~= 'done' and had == '1' then remake = '1' end
  redis.call('DEL', record)
  redis.call('HSET', record, 'recipe', recipe, 'attempts', 0, 'asked', now, 'remake', remake)
  if batches then redis.call('HSET', record, 'batches', batches) end
  enqueue(record, key, lane)
end

-- Keep a failure for so many seconds; askers are refused for as many of them as 'refused' says.
local function remember(record, key, state, failure, seconds, refused)
  unindex(key)
  tell(record, key, 'failed')
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
