-- Open a batch whose chunks are left, unless the same delivery has opened one before.
-- ARGV: unused, batch, its items, the delivery's key ('' if it has none), for how many seconds it is known, the index
--   of chunks, what their keys begin with, names of the chunks ..
-- -> the batch, or the one that was opened before; '' where a chunk is gone: leaving them took too long
local batch, delivery = ARGV[2], ARGV[4]
if delivery ~= '' then
  local before = redis.call('GET', delivery)
  if before then return before end
end
for i = 8, #ARGV do
  if redis.call('EXPIRE', ARGV[7] .. ARGV[i], LIVING) == 0 then return '' end
end
for i = 8, #ARGV do redis.call('ZADD', ARGV[6], 0, ARGV[i]) end
if delivery ~= '' then redis.call('SET', delivery, batch, 'EX', ARGV[5]) end
redis.call('HSET', KEYS[16] .. batch, 'items', ARGV[3], 'asked', now)
redis.call('EXPIRE', KEYS[16] .. batch, BATCH)
return batch
