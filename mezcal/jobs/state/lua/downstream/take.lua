-- Give a worker at most `most` changes that are due, for held_ms: nobody else gets them meanwhile.
-- -> {key, entry, key, entry ..}; {} while the hook rests after failures
local rests = redis.call('HGET', KEY.fault, 'until')
if rests and time_left(redis.call('HGET', KEY.fault, 'at'), rests) > 0 then return {} end
local taken = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEY.due, '-inf', now, 'LIMIT', 0, ARG.most)) do
  local text = redis.call('HGET', KEY.changes, key)
  if text then
    local entry = cjson.decode(text)
    entry.held = now + tonumber(ARG.held_ms)
    redis.call('HSET', KEY.changes, key, cjson.encode(entry))
    redis.call('ZADD', KEY.due, entry.held, key)
    table.insert(taken, key)
    table.insert(taken, text)
  else
    redis.call('ZREM', KEY.due, key)
  end
end
return taken
