-- Start the job, or join it. ARGV: key, lane, recipe, most that may be queued, batch and place in it (or none)
-- -> {verdict, what}: 'publish' (the caller sends the message), 'joined', 'failed' and the failure, 'full',
--   'origin-paused' and the milliseconds for which the origin is left alone
local key, lane, batch, at = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
if taken(batch, at) then return {'joined'} end

local function begin()
  local state, had, refused = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane', 'until'))
  if (state == 'failed' or state == 'quarantined') and now < tonumber(refused or '0') then
    return {'failed', redis.call('HGET', KEYS[1], 'failure')}
  end
  if state == 'running' then
    if lane == 'interactive' then redis.call('HSET', KEYS[1], 'lane', lane) end
    return {'joined'}
  end
  if lane == 'interactive' then
    local rests = tonumber(redis.call('HGET', KEYS[14], 'until') or '0') - now
    if rests > 0 then return {'origin-paused', tostring(rests)} end
  end
  local waits = lane == 'interactive' and had == 'bulk'
  if state == 'queued' and not waits then return {'joined'} end
  if state == 'later' and lane == 'bulk' then return {'joined'} end
  if state == 'queued' or state == 'later' then  -- somebody waits for it now: before all that nobody waits for
    enqueue(KEYS[1], key, 'interactive')
    return {'publish'}
  end

  if redis.call('ZCARD', queued_in(lane)) >= tonumber(ARGV[4]) then return {'full'} end
  start(KEYS[1], key, lane, ARGV[3], '')
  return {'publish'}
end

local verdict = begin()
if verdict[1] ~= 'full' and verdict[1] ~= 'origin-paused' then enter(KEYS[1], key, batch, at, verdict[1] == 'failed') end
return verdict
