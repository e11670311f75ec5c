-- Have a hook notified of changes, a JSON list of {key, recipe}. A later change of the same derivative replaces the earlier
-- one, which is not sent any more. While a worker delivers that one, it waits: changes arrive in order.
for number, change in ipairs(cjson.decode(ARG.changes)) do
  local key, recipe = change[1], change[2]
  local before = redis.call('HGET', KEY.changes, key)
  local held = before and tonumber(cjson.decode(before).held) or 0
  local due = now + tonumber(ARG.delay)
  local entry = {
    recipe = recipe, version = time[1] .. time[2] .. '-' .. ARG.nonce, since = now, due = due, held = held, attempts = 0,
    again = ARG.again == '1'}
  redis.call('HSET', KEY.changes, key, cjson.encode(entry))
  redis.call('ZADD', KEY.due, held > now and held or due, key)
end
redis.call('EXPIRE', KEY.changes, ARG.kept)
redis.call('EXPIRE', KEY.due, ARG.kept)
return 1
