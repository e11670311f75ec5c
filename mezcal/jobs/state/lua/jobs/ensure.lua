-- Start the job, or join it. ARG.ticket is saved for it; empty if it needs none. ARG.client asks for it, '' is no client;
-- it may have ARG.client_max jobs queued. ARG.origin is the queue of its origin's turns, empty if there are not several.
-- -> {'publish'}: the caller sends the message; {'joined'}; {'full'}; {'failed', the failure};
--   {'origin-paused', milliseconds for which the origin gets no request};
--   {'over-share', milliseconds until the client's next job is begun, '' if that is not known}
if is_taken(ARG.batch, ARG.place) then return {'joined'} end

-- Returns the refusal if the client has as many jobs queued as it may. Those have the turns after the current one.
local function over_share()
  if ARG.client == '' or next_turn(ARG.client) - current_turn() <= tonumber(ARG.client_max) then return nil end
  local since, lasted = unpack(redis.call('HMGET', KEY.round, 'since', 'ms'))
  return {'over-share', lasted and tostring(math.max(tonumber(lasted), now - since)) or ''}
end

local function decide()
  local lane = ARG.lane
  local state, before, ended, refused_until, queue =
    unpack(redis.call('HMGET', KEY.job, 'state', 'lane', 'ended', 'refused_until', 'turns'))
  if (state == 'failed' or state == 'quarantined') and time_left(ended, refused_until) > 0 then
    return {'failed', redis.call('HGET', KEY.job, 'failure')}
  end
  local lost = not is_indexed(ARG.key, state, before)  -- no worker would ever begin or end it
  if state == 'running' and not lost then
    if lane == 'interactive' then redis.call('HSET', KEY.job, 'lane', lane) end
    return {'joined'}
  end
  if lane == 'interactive' then
    local pause = time_left(unpack(redis.call('HMGET', KEY.circuit, 'paused_at', 'paused_until')))
    if pause > 0 then return {'origin-paused', tostring(pause)} end
  end
  local promoted = lane == 'interactive' and before == 'bulk'
  if state == 'queued' and not promoted and not lost then
    if lane == 'interactive' then take_turn(ARG.key, ARG.client, queue or '') end  -- it need not wait for another's turn
    return {'joined'}
  end
  if state == 'delayed' and lane == 'bulk' and not lost then return {'joined'} end
  local refusal = lane == 'interactive' and over_share()
  if refusal then return refusal end
  if state == 'queued' or state == 'delayed' or lost then  -- a client waits for it now
    local token = redis.call('HGET', KEY.job, 'token')
    note_client(KEY.job, ARG.client, ARG.headers)
    note_origin(KEY.job, ARG.origin)
    enqueue(KEY.job, ARG.key, lane)
    if token then redis.call('HSET', KEY.job, 'expired_token', token) end  -- a worker that runs it takes it back
    return {'publish'}
  end

  if redis.call('ZCARD', queued_in(lane)) >= tonumber(ARG.queue_max) then return {'full'} end
  start(KEY.job, ARG.key, lane, ARG.recipe, ARG.source, ARG.origin, '', ARG.client, ARG.headers)
  return {'publish'}
end

local REFUSALS = {full = true, ['origin-paused'] = true, ['over-share'] = true}
local answer = decide()
if ARG.lane == 'interactive' then note_asker(ARG.client) end
if not REFUSALS[answer[1]] then
  enter_batch(KEY.job, ARG.key, ARG.batch, ARG.place, answer[1] == 'failed')
end
if answer[1] == 'publish' or answer[1] == 'joined' then save_ticket(ARG.key, ARG.ticket) end
return answer
