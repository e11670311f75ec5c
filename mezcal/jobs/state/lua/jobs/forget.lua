-- Delete a job in any state. A worker that runs it loses its lease; clients that wait for it start it again, from masters
-- that are opened after this.
-- -> 1 if the job existed
settle_in_batches(KEY.job, ARG.key, 'forgotten')
unindex(ARG.key)
local existed = redis.call('DEL', KEY.job)
close_chains(ARG.source, ARG.kind)
delete_ticket(ARG.key)
redis.call('PUBLISH', KEY.ended, ARG.key)
return existed
