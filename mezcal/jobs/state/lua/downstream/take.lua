-- Read at most `most` entries that are due. -> {name, entry, name, entry ..}; {} while the hook rests after failures, or if
-- it is not holder's turn any more
if redis.call('GET', KEY.holder) ~= ARG.holder then return {} end
local rests = redis.call('HGET', KEY.fault, 'until')
if rests and time_left(redis.call('HGET', KEY.fault, 'at'), rests) > 0 then return {} end
local taken = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEY.due, '-inf', now, 'LIMIT', 0, ARG.most)) do
  local text = redis.call('HGET', KEY.changes, name)
  if text then
    taken[#taken + 1] = name
    taken[#taken + 1] = text
  else
    redis.call('ZREM', KEY.due, name)
  end
end
return taken
