-- Have a hook notified at once of what was given up and, of at most `most` others that wait, of those that no worker holds.
-- -> how many were given up
local function add(key, recipe)
  local entry = {recipe = recipe, version = time[1] .. time[2] .. '-retry', since = now, due = now, held = 0, attempts = 0,
    again = true}
  redis.call('HSET', KEY.changes, key, cjson.encode(entry))
  redis.call('ZADD', KEY.due, now, key)
end
local given_up = redis.call('LRANGE', KEY.failed, 0, -1)
for _, text in ipairs(given_up) do
  local failed = cjson.decode(text)
  if redis.call('HEXISTS', KEY.changes, failed.key) == 0 then add(failed.key, failed.recipe) end
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEY.due, '(' .. now, '+inf', 'LIMIT', 0, ARG.most)) do
  local entry = cjson.decode(redis.call('HGET', KEY.changes, key) or '{}')
  if entry.reason and entry.held <= now then redis.call('ZADD', KEY.due, now, key) end
end
redis.call('DEL', KEY.failed, KEY.fault)
redis.call('EXPIRE', KEY.changes, ARG.kept)
redis.call('EXPIRE', KEY.due, ARG.kept)
return #given_up
