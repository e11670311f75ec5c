-- End the delivery of one entry. outcome: `delivered` forgets it, or has it repeated once in again_ms if that is not 0;
-- `delayed` has it tried again in pause_ms; `given-up` lists it.
-- -> 1, or 0 if a later entry has replaced it meanwhile: that one is sent as it says
local text = redis.call('HGET', KEY.changes, ARG.name)
local entry = text and cjson.decode(text)
if not entry or entry.version ~= ARG.version then return 0 end
if ARG.outcome == 'delivered' and entry.again and tonumber(ARG.again_ms) > 0 then
  entry.again, entry.attempts, entry.since = false, 0, now
  entry.due = now + tonumber(ARG.again_ms)
elseif ARG.outcome == 'delayed' then
  entry.attempts, entry.reason, entry.due = entry.attempts + 1, ARG.reason, now + tonumber(ARG.pause_ms)
else
  redis.call('HDEL', KEY.changes, ARG.name)
  redis.call('ZREM', KEY.due, ARG.name)
  if ARG.outcome == 'given-up' then
    local failed = {name = ARG.name, recipe = entry.recipe, ended = entry.ended, reason = ARG.reason, at = now}
    redis.call('LPUSH', KEY.failed, cjson.encode(failed))
    redis.call('LTRIM', KEY.failed, 0, tonumber(ARG.listed) - 1)
    redis.call('EXPIRE', KEY.failed, ARG.listed_seconds)
  end
  return 1
end
redis.call('HSET', KEY.changes, ARG.name, cjson.encode(entry))
redis.call('ZADD', KEY.due, entry.due, ARG.name)
return 1
