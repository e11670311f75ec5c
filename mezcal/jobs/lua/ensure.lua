-- Start the job, or join it. ARGV: key, lane, recipe, most that may be queued, remake ('1' or '')
-- -> {verdict, failure}: 'publish' (the caller sends the message), 'joined', 'failed', 'full'
local key, lane = ARGV[1], ARGV[2]
local state, had = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane'))

if state == 'failed' or state == 'quarantined' then
  return {'failed', redis.call('HGET', KEYS[1], 'failure')}
end
if state == 'running' then
  if lane == 'interactive' then redis.call('HSET', KEYS[1], 'lane', lane) end
  return {'joined'}
end
local waits = lane == 'interactive' and had == 'bulk'
if state == 'queued' and not waits then return {'joined'} end
if state == 'later' and lane == 'bulk' then return {'joined'} end
if state == 'queued' or state == 'later' then  -- somebody waits for it now: before all that nobody waits for
  enqueue(KEYS[1], key, 'interactive')
  return {'publish'}
end

if redis.call('ZCARD', queued_in(lane)) >= tonumber(ARGV[4]) then return {'full'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'recipe', ARGV[3], 'attempts', 0, 'asked', now, 'remake', ARGV[5])
enqueue(KEYS[1], key, lane)
return {'publish'}
