-- Start the job, or join it. ARG.ticket is saved for it; empty if it needs none.
-- -> {'publish'}: the caller sends the message; {'joined'}; {'full'}; {'failed', the failure};
--   {'origin-paused', milliseconds for which the origin gets no request}
if is_taken(ARG.batch, ARG.place) then return {'joined'} end

local function decide()
  local lane = ARG.lane
  local state, before, refused_until = unpack(redis.call('HMGET', KEY.job, 'state', 'lane', 'refused_until'))
  if (state == 'failed' or state == 'quarantined') and now < tonumber(refused_until or '0') then
    return {'failed', redis.call('HGET', KEY.job, 'failure')}
  end
  if state == 'running' then
    if lane == 'interactive' then redis.call('HSET', KEY.job, 'lane', lane) end
    return {'joined'}
  end
  if lane == 'interactive' then
    local pause = tonumber(redis.call('HGET', KEY.circuit, 'paused_until') or '0') - now
    if pause > 0 then return {'origin-paused', tostring(pause)} end
  end
  local promoted = lane == 'interactive' and before == 'bulk'
  if state == 'queued' and not promoted then return {'joined'} end
  if state == 'delayed' and lane == 'bulk' then return {'joined'} end
  if state == 'queued' or state == 'delayed' then  -- a client waits for it now
    enqueue(KEY.job, ARG.key, 'interactive')
    return {'publish'}
  end

  if redis.call('ZCARD', queued_in(lane)) >= tonumber(ARG.queue_max) then return {'full'} end
  start(KEY.job, ARG.key, lane, ARG.recipe, '')
  return {'publish'}
end

local answer = decide()
if answer[1] ~= 'full' and answer[1] ~= 'origin-paused' then
  enter_batch(KEY.job, ARG.key, ARG.batch, ARG.place, answer[1] == 'failed')
end
if answer[1] == 'publish' or answer[1] == 'joined' then save_ticket(ARG.key, ARG.ticket) end
return answer
