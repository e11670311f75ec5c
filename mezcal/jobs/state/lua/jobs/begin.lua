-- Give a queued job to a worker: ARG.key; or, if that is empty, a job of ARG.source for a process that has its masters open
-- as ARG.chain; or, if that is empty too, the one of the interactive lane whose turn it is. Only one worker of all hosts gets
-- it: the check and the change are one script.
-- ARG.bulk is '1' if the process serves the bulk lane, too. ARG.window_ms is twice the time in which the masters arrived.
-- ARG.failure is recorded for ARG.failure_seconds if no attempts are left. ARG.origins is JSON: the origin's host by the
-- kind of a recipe. ARG.several is JSON, too, empty for one origin of mezzanines: the prefix of the paths of each of several,
-- its name, and how many jobs may read from it at once, 0 for no bound; the longest prefix comes first.
-- -> {key, recipe, token, attempt, lane, remake, suspect, milliseconds in the queue, headers,
--   failed attempts that do not count, source, chain, milliseconds since its masters changed}; {} if no such job is
--   queued, or it is quarantined now, or is held back for another process; {'held'} if jobs are queued, but only of clients
--   that have all processes that they may have, or if further ones were not looked at: ask again soon
local LOOKED_AT = 20   -- jobs that are read at once
local MOVED_MAX = 500  -- jobs that are moved to other queues at once, which takes some 10 µs each
local NO_JOB = {turn = math.huge}

-- Begin the next turn. The time from one to the next is smoothed: in each, a client with many jobs gets one begun.
local function note_turn(turn)
  local before, since, lasted = unpack(redis.call('HMGET', KEY.round, 'turn', 'since', 'ms'))
  if turn <= tonumber(before or '0') then return end
  if since then
    local took = now - since
    redis.call('HSET', KEY.round, 'ms', math.floor(lasted and 0.8 * lasted + 0.2 * took or took))
  end
  redis.call('HSET', KEY.round, 'turn', turn, 'since', now)
  redis.call('EXPIRE', KEY.round, UNFINISHED_KEPT)
  redis.call('ZREMRANGEBYSCORE', KEY.clients, '-inf', turn)
end

-- Returns how many processes make derivatives, by the heartbeats of their workers.
local function processes()
  local count = 0
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEY.workers, now / 1000 - tonumber(ARG.silent_seconds), '+inf')) do
    count = count + cjson.decode(worker).processes
  end
  return count
end

-- Returns the clients that have as many running jobs as they may while others ask, too: the share ARG.client_share of
-- their own and the free processes together, but one job each. So a process stays free for the others.
local function clients_at_limit()
  local running, at_limit = {}, {}
  local keys = redis.call('ZRANGE', KEY.running, 0, -1)
  for _, key in ipairs(keys) do
    local client = redis.call('HGET', KEY.job_prefix .. key, 'client') or ''
    running[client] = (running[client] or 0) + 1
  end
  running[''] = nil
  local share, all = tonumber(ARG.client_share), next(running) and processes() or 0
  if all == 0 or share == 1 then return at_limit end
  local present = redis.call('ZCOUNT', KEY.askers, now - PRESENT_MS, '+inf')
  for client, count in pairs(running) do
    local others = present - (redis.call('ZSCORE', KEY.askers, client) and 1 or 0)
    at_limit[client] = others > 0 and count + 1 > share * (count + all - #keys) or nil
  end
  return at_limit
end

local several, hosts = cjson.decode(ARG.several), cjson.decode(ARG.origins)

-- Returns the name of the origin of a recipe's masters, '' if it has no limits; and the prefix, if it is one of several.
local function origin_of(recipe)
  local wanted = cjson.decode(recipe)
  if #several == 0 or wanted.kind ~= 'mezzanine' then return hosts[wanted.kind] or '', nil end
  for _, origin in ipairs(several) do
    if string.sub(wanted.path, 1, #origin[1]) == origin[1] then return origin[2], origin[1] end
  end
  return '', nil
end

-- Returns the prefixes of those of several origins that have as many running jobs as they may: their places; without a
-- bound as many as leave a process for each other origin, but one at least. So no process waits for a slow origin that
-- another one needs.
local function origins_at_limit()
  local running, at_limit = {}, {}
  if #several == 0 then return at_limit end
  for _, key in ipairs(redis.call('ZRANGE', KEY.running, 0, -1)) do
    local recipe = redis.call('HGET', KEY.job_prefix .. key, 'recipe')
    local name = recipe and origin_of(recipe) or ''
    running[name] = (running[name] or 0) + 1
  end
  local unbounded = math.max(1, processes() - (#several - 1))
  for _, origin in ipairs(several) do
    local places = origin[3] > 0 and origin[3] or unbounded
    at_limit[origin[1]] = origin[2] ~= '' and (running[origin[2]] or 0) >= places or nil
  end
  return at_limit
end

local busy_clients, full_origins  -- as the two functions above return them
local moved, limited = 0, false   -- how many jobs were moved; if one was passed over because its client is at its limit
local held_queues = {}            -- the others that were passed over

-- True if all jobs of a queue have to wait now, for what its name says. Those of outer queues are looked at before.
local function has_to_wait(queue)
  local what, name = string.match(queue, '(%l+)=([^;]*)$')
  if what == 'client' then
    limited = limited or busy_clients[name] or false
    return busy_clients[name]
  end
  local waits = what == 'origin' and full_origins[name] or what == 'source' and is_source_held(name, 'interactive')
  if waits then held_queues[#held_queues + 1] = queue end
  return waits
end

-- Returns the name of the queue of the jobs that wait for the same thing as this one; nil if it may be begun.
local function waits_in(key, client, recipe)
  if busy_clients[client] then return 'client=' .. client end
  local prefix = next(full_origins) and select(2, origin_of(recipe))
  if prefix and full_origins[prefix] then return 'origin=' .. prefix end
  return is_held_back(key, 'interactive') and 'source=' .. source_of(key) or nil
end

-- Move a job to an inner queue.
local function move(record, key, turn, queue, inner)
  local name = queue == '' and inner or queue .. ';' .. inner
  redis.call('ZREM', jobs_of(queue), key)
  redis.call('HSET', record, 'turns', name)
  add_turn(key, name, turn)
end

-- Returns {key, turn} of the first job of a queue, without its inner ones, that may be begun; nil if it does not come before
-- the best one. The jobs before it that have to wait are moved to inner queues.
local function first_job(queue, best)
  while moved < MOVED_MAX do
    local found = redis.call('ZRANGE', jobs_of(queue), 0, LOOKED_AT - 1, 'WITHSCORES')
    if #found == 0 then return nil end
    for place = 1, #found, 2 do
      local key, turn = found[place], tonumber(found[place + 1])
      if best and turn >= best.turn then return nil end
      local record = KEY.job_prefix .. key
      local state, lane, client, recipe = unpack(redis.call('HMGET', record, 'state', 'lane', 'client', 'recipe'))
      if state ~= 'queued' or lane ~= 'interactive' then
        redis.call('ZREM', jobs_of(queue), key)
      else
        local inner = waits_in(key, client or '', recipe)
        if not inner then return {key = key, turn = turn} end
        move(record, key, turn, queue, inner)
      end
      moved = moved + 1
    end
  end
end

-- Correct the turn of an inner queue, which jobs may have left. Returns true if it was right.
local function has_turn(queue, turn)
  local first = nil
  for _, set in ipairs({jobs_of(queue), queues_in(queue)}) do
    local score = tonumber(redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2])
    if score and (not first or score < first) then first = score end
  end
  local queues = queues_in(outer_of(queue))
  if not first then
    redis.call('ZREM', queues, queue)
  elseif first ~= turn then
    redis.call('ZADD', queues, first, queue)
  end
  return first == turn
end

-- Returns {key, turn} of the first job of a queue and its inner ones that may be begun; the best one, which may be nil, if
-- that comes before it. The cost grows with the clients and origins at their limits and with the masters that are open,
-- not with the jobs that wait for them.
local function earliest(queue, best)
  best = first_job(queue, best) or best
  local rank = 0
  while true do
    local inner, turn = unpack(redis.call('ZRANGE', queues_in(queue), rank, rank, 'WITHSCORES'))
    if not inner or best and tonumber(turn) >= best.turn then return best end
    if has_to_wait(inner) then
      rank = rank + 1
    else
      best = earliest(inner, best)
      if has_turn(inner, tonumber(turn)) then rank = rank + 1 end
    end
  end
end

-- Returns the job whose turn it is, as `earliest` does.
local function next_job()
  busy_clients, full_origins = busy_clients or clients_at_limit(), origins_at_limit()
  return earliest('', nil)
end

-- Returns the first jobs of a queue; if it has none of its own, of the first queue in it.
local function first_jobs(queue)
  local jobs = redis.call('ZRANGE', jobs_of(queue), 0, COMPANIONS - 1)
  local inner = #jobs == 0 and redis.call('ZRANGE', queues_in(queue), 0, 0)[1]
  return inner and first_jobs(inner) or jobs
end

-- Note that a message was used up for one of these jobs, which are held back. Returns true if it was one.
local function note_held(keys)
  if #keys == 0 then return false end
  for place, noted in ipairs(redis.call('ZMSCORE', KEY.held_back, unpack(keys))) do
    if not noted then
      redis.call('ZADD', KEY.held_back, now, keys[place])
      redis.call('EXPIRE', KEY.held_back, UNFINISHED_KEPT)
      return true
    end
  end
  return false
end

-- Returns the next job of the source for a process with open masters; '' without one. It may come before its turn, or
-- before jobs with a waiting client, only for a while: no other client waits longer for it than that.
local function companion()
  local began = redis.call('HGET', KEY.reading_prefix .. ARG.source, 'chain:' .. ARG.chain)
  local age = age_of(began)
  if not age or age >= tonumber(ARG.sharing_ms) then return '' end
  local early = age < tonumber(ARG.window_ms) / 2 + WINDOW_MS  -- after the arrival
  local best = nil  -- of the jobs that another process may begin
  busy_clients = clients_at_limit()
  for _, key in ipairs(redis.call('ZRANGE', KEY.source_prefix .. ARG.source, 0, COMPANIONS - 1)) do
    local record = KEY.job_prefix .. key
    local state, lane, client, alone = unpack(redis.call('HMGET', record, 'state', 'lane', 'client', 'alone'))
    if state ~= 'queued' then
      redis.call('ZREM', KEY.source_prefix .. ARG.source, key)
    elseif not alone and lane == 'interactive' and not busy_clients[client or ''] then
      best = best or next_job() or NO_JOB
      local turn = turn_of(key)
      local is_next = turn and turn <= best.turn
      if is_next then note_turn(math.floor(turn)) end
      if early or is_next then return key end
    elseif not alone and lane == 'bulk' and ARG.bulk == '1' then
      best = best or not early and next_job() or NO_JOB
      if best == NO_JOB then return key end
    end
  end
  return ''
end

-- Note that the job's process may begin further jobs of its source with the same masters. Returns the name of its chain.
local function note_chain(source, key, token)
  local reading = KEY.reading_prefix .. source
  if ARG.chain == '' then
    redis.call('HDEL', reading, 'window', 'ended')
    redis.call('HSET', reading, 'chain:' .. token, now, 'chain', token, 'key', key, 'token', token, 'since', now,
               'bulk', ARG.bulk)
  elseif redis.call('HGET', reading, 'chain') == ARG.chain then
    redis.call('HDEL', reading, 'ended')
    redis.call('HSET', reading, 'key', key, 'token', token, 'window', math.max(WINDOW_MS, tonumber(ARG.window_ms)))
  end
  redis.call('PEXPIRE', reading, math.max(2 * tonumber(ARG.sharing_ms), 1000 * CHANGE_KEPT))
  return ARG.chain == '' and token or ARG.chain
end

local key = ARG.key
if ARG.chain ~= '' then
  key = companion()
elseif key == '' then
  local job = next_job()
  if job then
    note_turn(math.floor(job.turn))
    key = job.key
  elseif limited or moved >= MOVED_MAX then
    return {'held'}
  end
  for _, queue in ipairs(job and {} or held_queues) do
    if note_held(first_jobs(queue)) then break end
  end
end
local record = KEY.job_prefix .. key
local fields = redis.call('HMGET', record, 'state', 'lane', 'attempts', 'queued', 'recipe', 'remake', 'headers',
                          'uncounted')
local state, lane, attempts, queued, recipe, remake, headers, uncounted = unpack(fields)
if state ~= 'queued' then return {} end
if ARG.key ~= '' and is_held_back(key, lane) then
  note_held({key})
  return {}
end

if lane == 'bulk' and ARG.chain == '' then redis.call('SET', KEY.begun_bulk, queued, 'EX', UNFINISHED_KEPT) end
attempts = tonumber(attempts) + 1
if attempts > tonumber(ARG.max_attempts) then
  remember_failure(record, key, 'quarantined', ARG.failure, tonumber(ARG.failure_seconds))
  return {}
end
-- At least the clock in microseconds: tokens grow even if Redis has lost the last one.
local token = math.max(tonumber(redis.call('GET', KEY.fence) or '0') + 1, time[1] * 1000000 + time[2])
token = string.format('%.0f', token)
redis.call('SET', KEY.fence, token, 'EX', UNFINISHED_KEPT)
unindex(key)
redis.call('HDEL', record, 'expired_token')
if ARG.chain ~= '' then redis.call('HSET', record, 'companion', '1') end
redis.call('HSET', record, 'state', 'running', 'attempts', attempts, 'token', token, 'started', now,
           'worker', ARG.worker, 'message', ARG.message)
redis.call('ZADD', KEY.running, now + tonumber(ARG.lease_ms), key)
local host = origin_of(recipe)
local failing = redis.call('EXISTS', KEY.circuit_prefix .. host, KEY.failing_prefix .. host) > 0  -- it has failed lately
local source = source_of(key)
local chain = source and note_chain(source, key, token) or ''
local changed = source and redis.call('HGET', KEY.reading_prefix .. source, 'changed')
local changed_ago = changed and (age_of(changed) or 0)  -- after the clock stepped back no file is known to be newer
local waited = math.max(now - queued, 0)  -- the clock may have stepped back
return {key, recipe, token, tostring(attempts), lane, remake or '', failing and '1' or '', tostring(waited),
        headers or '', uncounted or '0', source or '', chain, changed_ago and tostring(changed_ago) or ''}
