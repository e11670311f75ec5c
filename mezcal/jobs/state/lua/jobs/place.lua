-- -> the place of the queued job ARG.key, from 1; 0 if it is not queued. It is an estimate: interactive jobs come first.
--   Of those, the ones in other queues of turns are not counted, because most of them wait for something else.
local turn = turn_of(ARG.key)
if not turn then
  local rank = redis.call('ZRANK', KEY.queued_bulk, ARG.key)
  return rank and redis.call('ZCARD', KEY.queued_interactive) + rank + 1 or 0
end
local before = string.format('(%.17g', turn)
local queue, place = redis.call('HGET', KEY.job, 'turns') or '', 1
while queue ~= '' do
  place = place + redis.call('ZCOUNT', jobs_of(queue), '-inf', before)
  queue = outer_of(queue)
end
return place + redis.call('ZCOUNT', KEY.turns, '-inf', before)
