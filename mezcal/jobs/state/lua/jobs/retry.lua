-- Queue a failed, quarantined or delayed job again, with all its attempts; its history is kept. ARG.ticket is saved for it;
-- empty if it needs none.
-- -> {lane, recipe}: the caller sends the message; {} if there is no such job
local state = redis.call('HGET', KEY.job, 'state')
if state ~= 'failed' and state ~= 'quarantined' and state ~= 'delayed' then return {} end
redis.call('HSET', KEY.job, 'attempts', 0)
redis.call('HDEL', KEY.job, 'started', 'ended')
enqueue(KEY.job, ARG.key, ARG.lane)
save_ticket(ARG.key, ARG.ticket)
local recipe = redis.call('HGET', KEY.job, 'recipe')
local kind = cjson.decode(recipe).kind
if kind == 'thumbnail' then close_chains(source_of(ARG.key) or '', kind) end  -- frames may be damaged on their way
return {ARG.lane, recipe}
