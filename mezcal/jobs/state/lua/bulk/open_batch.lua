-- Open a batch for chunks that were drafted, unless the same delivery has opened one before. delivery is '' if it has no
-- id; else it is remembered for delivery_seconds. chunks is a JSON list of names.
-- -> the batch, or the one that the delivery opened before; '' if a draft has expired: drafting took too long
local chunks = cjson.decode(ARG.chunks)
if ARG.delivery ~= '' then
  local before = redis.call('GET', KEY.delivery)
  if before then return before end
end
for _, name in ipairs(chunks) do
  if redis.call('EXPIRE', ARG.chunk_prefix .. name, UNFINISHED_KEPT) == 0 then return '' end
end
for _, name in ipairs(chunks) do redis.call('ZADD', KEY.chunks, 0, name) end
if ARG.delivery ~= '' then redis.call('SET', KEY.delivery, ARG.batch, 'EX', ARG.delivery_seconds) end
redis.call('HSET', KEY.batch, 'items', ARG.items, 'asked', now)
redis.call('EXPIRE', KEY.batch, BATCH_KEPT)
return ARG.batch
