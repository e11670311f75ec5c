-- Settle an item of a batch that is not a job. It stands for so many `derivatives`, of which `ended` have this
-- outcome; the others are jobs. note is listed, unless it is ''.
-- -> 1, or 0 if the item was settled before or the batch is not known
if redis.call('EXISTS', KEY.batch) == 0 or is_taken(ARG.batch, ARG.place) then return 0 end
redis.call('SETBIT', KEY.batch .. ':taken', ARG.place, 1)
redis.call('HINCRBY', KEY.batch, 'items', tonumber(ARG.derivatives) - 1)
redis.call('HINCRBY', KEY.batch, 'extra', tonumber(ARG.derivatives) - 1)
if ARG.note ~= '' then list(KEY.batch, ':notes', ARG.note) end
count(KEY.batch, ARG.outcome, tonumber(ARG.ended))
return 1
