-- Have the job made from its master, which is new or has changed. What was known of the job is no longer true.
-- remake is '1' if the stored derivative is outdated. ARG.origin is the queue of its origin's turns, as in ensure.lua.
-- -> {'publish', lane}: the caller sends the message; {'joined'}; {'full'}
-- A worker that runs the job loses its lease, because it may have read the old master. A queued job has read nothing.
local lane = ARG.lane
if is_taken(ARG.batch, ARG.place) then return {'joined'} end
close_chains(ARG.source, ARG.kind)
local state, before = unpack(redis.call('HMGET', KEY.job, 'state', 'lane'))

if state == 'queued' and is_indexed(ARG.key, state, before) then
  if ARG.remake == '1' then redis.call('HSET', KEY.job, 'remake', '1') end
  if before == 'interactive' or lane == 'bulk' then
    -- Its last worker has read the old master, and must not get the job back.
    redis.call('HDEL', KEY.job, 'expired_token')
    enter_batch(KEY.job, ARG.key, ARG.batch, ARG.place)
    return {'joined'}
  end
end
local full = redis.call('ZCARD', queued_in(lane)) >= tonumber(ARG.queue_max)
if full and state ~= 'running' and state ~= 'queued' then return {'full'} end
if state == 'running' and before == 'interactive' then lane = before end  -- a client waits for it
start(KEY.job, ARG.key, lane, ARG.recipe, ARG.source, ARG.origin, ARG.remake)
enter_batch(KEY.job, ARG.key, ARG.batch, ARG.place)
return {'publish', lane}
