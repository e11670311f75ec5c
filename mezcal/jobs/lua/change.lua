-- The master has changed: whatever was known of the job is over. ARGV: key, lane, recipe, most that may be queued
-- -> {verdict}: 'publish' (the caller sends the message), 'joined', 'full'
-- One that runs is fenced off, for it may have read the old master; one that is queued has read nothing yet.
local key, lane = ARGV[1], ARGV[2]
local state, had = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane'))

if state == 'queued' then
  redis.call('HSET', KEYS[1], 'remake', '1')
  if had == 'interactive' or lane == 'bulk' then
    redis.call('HDEL', KEYS[1], 'lapsed')  -- its last holder has read the old master: it shall not take it back
    return {'joined'}
  end
end
local full = redis.call('ZCARD', queued_in(lane)) >= tonumber(ARGV[4])
if full and state ~= 'running' and state ~= 'queued' then return {'full'} end
if state == 'running' and had == 'interactive' then lane = had end  -- somebody waits for it
start(KEYS[1], key, lane, ARGV[3], '1')
return {'publish', lane}
