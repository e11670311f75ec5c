-- Delete a bulk job that no other client wants.
-- -> 1, or 0 if it is kept: it runs or has ended, a client waits for it, it replaces an outdated derivative, it was
--   asked for before `since` (milliseconds), or another batch waits for it, too
local fields = redis.call('HMGET', KEY.job, 'state', 'lane', 'remake', 'asked', 'batches')
local state, lane, remake, asked, batches = unpack(fields)
if state ~= 'queued' and state ~= 'delayed' then return 0 end
if lane ~= 'bulk' or remake == '1' or tonumber(asked) < tonumber(ARG.since) then return 0 end
if select(2, string.gsub(batches or '', '%S+', '')) > 1 then return 0 end
settle_in_batches(KEY.job, ARG.key, 'forgotten')
unindex(ARG.key)
redis.call('DEL', KEY.job)
delete_ticket(ARG.key)
redis.call('PUBLISH', KEY.ended, ARG.key)
return 1
