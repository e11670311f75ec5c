-- Have a hook notified at once of what was given up and, of at most `most` others that wait, of those that failed. What was
-- lost is no longer counted.
-- -> how many were given up
local given_up = redis.call('LRANGE', KEY.failed, 0, -1)
for _, text in ipairs(given_up) do
  local failed = cjson.decode(text)
  local name = failed.name or failed.key  -- as a former version listed it
  if redis.call('HEXISTS', KEY.changes, name) == 0 then
    put_entry(KEY.changes, name, {recipe = failed.recipe, ended = failed.ended, again = not failed.ended}, 0)
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEY.due, '(' .. now, '+inf', 'LIMIT', 0, ARG.most)) do
  local entry = cjson.decode(redis.call('HGET', KEY.changes, name) or '{}')
  if entry.reason then redis.call('ZADD', KEY.due, now, name) end
end
redis.call('DEL', KEY.failed, KEY.fault, KEY.lost)
keep_hook(KEY.changes)
return #given_up
