-- The master is new or has changed: whatever was known of the job is over.
-- ARGV: key, lane, recipe, most that may be queued, '1' if what is stored is of the old master, batch, place in it
-- -> {verdict}: 'publish' (the caller sends the message), 'joined', 'full'
-- One that runs is fenced off, for it may have read the old master; one that is queued has read nothing yet.
local key, lane, remake, batch, at = ARGV[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
if taken(batch, at) then return {'joined'} end
local state, had = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane'))

if state == 'queued' then
  if remake == '1' then redis.call('HSET', KEYS[1], 'remake', '1') end
  if had == 'interactive' or lane == 'bulk' then
    redis.call('HDEL', KEYS[1], 'lapsed')  -- its last holder has read the old master: it shall not take it back
    enter(KEYS[1], key, batch, at)
    return {'joined'}
  end
end
local full = redis.call('ZCARD', queued_in(lane)) >= tonumber(ARGV[4])
if full and state ~= 'running' and state ~= 'queued' then return {'full'} end
if state == 'running' and had == 'interactive' then lane = had end  -- somebody waits for it
start(KEYS[1], key, lane, ARGV[3], remake)
enter(KEYS[1], key, batch, at)
return {'publish', lane}
