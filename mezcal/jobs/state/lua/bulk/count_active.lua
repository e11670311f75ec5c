-- Count the running and the delayed jobs of a batch, among at most `limit` of either.
-- -> {running, delayed}
local counts = {}
for number, index in ipairs({KEY.running, KEY.delayed}) do
  counts[number] = 0
  for _, key in ipairs(redis.call('ZRANGE', index, 0, tonumber(ARG.limit) - 1)) do
    counts[number] = counts[number] + redis.call('SISMEMBER', KEY.batch .. ':open', key)
  end
end
return counts
