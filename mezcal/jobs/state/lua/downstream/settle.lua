-- End the delivery of one change. outcome: `delivered` forgets it, or has it repeated once in again_ms if that is not 0;
-- `delayed` has it tried again in pause_ms; `released` has it tried again at once, without counting; `given-up` lists it.
-- A later change, which has replaced it meanwhile, is due as it says.
local text = redis.call('HGET', KEY.changes, ARG.key)
if not text then return 0 end
local entry = cjson.decode(text)
entry.held = 0
local replaced = entry.version ~= ARG.version
local repeats = ARG.outcome == 'delivered' and entry.again and tonumber(ARG.again_ms) > 0
if not replaced then
  if repeats then
    entry.again, entry.attempts, entry.since = false, 0, now
    entry.due = now + tonumber(ARG.again_ms)
  elseif ARG.outcome == 'delayed' then
    entry.attempts, entry.reason, entry.due = entry.attempts + 1, ARG.reason, now + tonumber(ARG.pause_ms)
  elseif ARG.outcome == 'released' then
    entry.due = now
  else
    redis.call('HDEL', KEY.changes, ARG.key)
    redis.call('ZREM', KEY.due, ARG.key)
    if ARG.outcome == 'given-up' then
      redis.call('LPUSH', KEY.failed, cjson.encode({key = ARG.key, recipe = entry.recipe, reason = ARG.reason, at = now}))
      redis.call('LTRIM', KEY.failed, 0, tonumber(ARG.listed) - 1)
      redis.call('EXPIRE', KEY.failed, ARG.listed_seconds)
    end
    return 1
  end
end
redis.call('HSET', KEY.changes, ARG.key, cjson.encode(entry))
redis.call('ZADD', KEY.due, entry.due, ARG.key)
return replaced and 0 or 1
