-- Open a batch for chunks that were drafted, unless the same delivery has opened one before. delivery is '' if it has no
-- id; else it is remembered for a day, in the hash of this quarter of a day and its bucket. chunks is a JSON list of names.
-- callback is the name of the hook that is notified of the ends of the jobs, '' if there is none.
-- -> the batch, or the one that the delivery opened before; '' if a draft has expired: drafting took too long
local chunks = cjson.decode(ARG.chunks)
local function deliveries(quarter) return KEY.delivery_prefix .. quarter .. ':' .. ARG.bucket end
local quarter = math.floor(now / 1000 / (DELIVERY_KEPT / 4))

if ARG.delivery ~= '' then
  for back = 0, 4 do
    local before = redis.call('HGET', deliveries(quarter - back), ARG.delivery)
    if before then return before end
  end
end
for _, name in ipairs(chunks) do
  if redis.call('EXPIRE', ARG.chunk_prefix .. name, UNFINISHED_KEPT) == 0 then return '' end
end
for _, name in ipairs(chunks) do redis.call('ZADD', KEY.chunks, 0, name) end
if ARG.delivery ~= '' then
  redis.call('HSET', deliveries(quarter), ARG.delivery, ARG.batch)
  redis.call('EXPIRE', deliveries(quarter), DELIVERY_KEPT * 5 / 4)
end
redis.call('HSET', KEY.batch, 'items', ARG.items, 'asked', now)
if ARG.callback ~= '' then redis.call('HSET', KEY.batch, 'callback', ARG.callback) end
redis.call('EXPIRE', KEY.batch, BATCH_KEPT)
return ARG.batch
