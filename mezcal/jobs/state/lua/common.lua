-- Comes before every script, after clock.lua, hooks.lua and turns.lua.
local DONE_KEPT = 60                -- seconds for which clients can still ask about a done job
local BATCH_KEPT = 7 * 86400        -- seconds for which a batch is kept after its last change
local TICKET_KEPT = 47 * 3600       -- seconds for which a ticket is kept at most: the archive signs URLs for 48 hours
local SMALL_BATCH = 10              -- items: the batch of an event, most often one, of which there may be millions
local SMALL_BATCH_KEPT = 3600       -- seconds for which such a batch is kept after its end
local DELIVERY_KEPT = 86400         -- seconds for which a repeated delivery is recognized; a quarter more at most
local LISTED = 100                  -- failures and notes that are kept of a batch
local BATCH_NAMES_MAX = 2000        -- characters: a job that more batches wait for counts as `repeated` in the others

-- The milliseconds left until a moment that was set at `since`. If that is in the future, the clock has stepped back since:
-- none are left then, or the whole step would be waited for.
local CLOCK_TOLERANCE = 1000
local function time_left(since, moment)
  if since and now < tonumber(since) - CLOCK_TOLERANCE then return 0 end
  return math.max(tonumber(moment or '0') - now, 0)
end

-- Returns the milliseconds since a moment; nil without one, or if it is in the future: the clock has stepped back since.
local function age_of(moment)
  local age = moment and now - tonumber(moment)
  return age and age >= -CLOCK_TOLERANCE and math.max(age, 0) or nil
end

local function queued_in(lane) return KEY['queued_' .. lane] end

-- Returns the seconds for which a batch is kept after this change.
local function batch_kept(batch)
  local items = tonumber(redis.call('HGET', batch, 'items') or '0')
  if items > SMALL_BATCH then return BATCH_KEPT end
  local ended = 0
  local ends = redis.call('HMGET', batch, 'done', 'failed', 'forgotten', 'deleted', 'ignored', 'repeated')
  for _, number in ipairs(ends) do ended = ended + (tonumber(number) or 0) end
  return ended >= items and SMALL_BATCH_KEPT or BATCH_KEPT
end

-- Add number to one of the counts of a batch, and keep the batch for as long as `batch_kept` says.
local function count(batch, what, number)
  redis.call('HINCRBY', batch, what, number)
  redis.call('HINCRBY', KEY.items, what, number)
  redis.call('EXPIRE', KEY.items, UNFINISHED_KEPT)
  redis.call('HSET', batch, 'last', now)
  local kept = batch_kept(batch)
  for _, part in ipairs({'', ':taken', ':open', ':failed', ':notes'}) do
    redis.call('EXPIRE', batch .. part, kept)
  end
end

local function list(batch, part, what)
  redis.call('RPUSH', batch .. part, what)
  redis.call('LTRIM', batch .. part, 0, LISTED - 1)
end

-- True if the item at this place of the batch was taken before: a chunk may be queued twice. An empty place is never
-- taken: the caller makes sure then that the item is counted once.
local function is_taken(batch, place)
  return batch ~= '' and place ~= '' and redis.call('GETBIT', KEY.batch_prefix .. batch .. ':taken', place) == 1
end

-- Make a job, which was just queued or has a remembered failure, part of a batch. A batch that is not known is ignored.
-- ARG.more is '1' if the job is another derivative of an item of the batch, and counts as one more item.
local function enter_batch(record, key, batch, place, failed)
  local name = KEY.batch_prefix .. batch
  if batch == '' or redis.call('EXISTS', name) == 0 then return end
  if ARG.more == '1' then
    redis.call('HINCRBY', name, 'items', 1)
    redis.call('HINCRBY', name, 'extra', 1)
  end
  if place ~= '' then redis.call('SETBIT', name .. ':taken', place, 1) end
  local names = redis.call('HGET', record, 'batches') or ''
  if failed then
    note_end(record, key, redis.call('HGET', record, 'state'), redis.call('HGET', record, 'failure'), batch)
    list(name, ':failed', key)
    count(name, 'failed', 1)
  elseif #names > BATCH_NAMES_MAX or redis.call('SADD', name .. ':open', key) == 0 then
    count(name, 'repeated', 1)
  else
    redis.call('HSET', record, 'batches', names .. batch .. ' ')
    count(name, 'entered', 1)
  end
end

-- Count the end of a job in each batch that waits for it.
local function settle_in_batches(record, key, outcome)
  for batch in string.gmatch(redis.call('HGET', record, 'batches') or '', '%S+') do
    local name = KEY.batch_prefix .. batch
    if redis.call('EXISTS', name) == 1 and redis.call('SREM', name .. ':open', key) == 1 then
      if outcome == 'failed' then list(name, ':failed', key) end
      count(name, outcome, 1)
    end
  end
  redis.call('HDEL', record, 'batches')
end

-- Clients that have asked within this time count as present: none of the others may take all processes.
local PRESENT_MS = 5000

local function note_asker(client)
  redis.call('ZADD', KEY.askers, now, client ~= '' and client or '-')
  redis.call('ZREMRANGEBYSCORE', KEY.askers, '-inf', now - PRESENT_MS)
  redis.call('PEXPIRE', KEY.askers, PRESENT_MS)
end

-- Jobs of one source are made from the same masters, so one download serves them all: docs/decisions/one-download.md.
-- A process that begins a job opens a *chain*: after that job it begins the next queued one of the source, with the masters
-- still open. The hash `reading` has all chains of a source, and of the newest what decides who is held back for it.
local CHAIN_FIELDS = {'chain', 'key', 'token', 'since', 'window', 'bulk', 'ended'}
local WINDOW_MS = 5000    -- for so long at least jobs with a waiting client are held back, from the opening of a chain
local HANDOVER_MS = 2000  -- for so long a chain whose job has ended may begin its next one
local CHANGE_KEPT = 600   -- seconds: files of frames are kept for less (`KEPT_SECONDS` of mezcal/origin/archive)
local COMPANIONS = 100    -- queued jobs of one source that are looked at

local function source_of(key)
  local source = redis.call('HGET', KEY.job_prefix .. key, 'source')
  return source and source ~= '' and source or nil
end

-- Interactive jobs come first, by their turns, which are small numbers; then bulk jobs, by the time.
local function add_to_source(source, key, turn)
  if not source or source == '' then return end
  redis.call('ZADD', KEY.source_prefix .. source, turn or now, key)
  redis.call('EXPIRE', KEY.source_prefix .. source, UNFINISHED_KEPT)
end

-- Returns the newest chain of the source, nil if it begins no further job: its job's lease ran out, or its time is over.
local function open_chain(source)
  local values = redis.call('HMGET', KEY.reading_prefix .. source, unpack(CHAIN_FIELDS))
  local chain = {}
  for place, field in ipairs(CHAIN_FIELDS) do chain[field] = values[place] end
  chain.age = age_of(chain.since)
  if not chain.key or not chain.age or chain.age >= tonumber(ARG.sharing_ms) then return nil end
  if chain.ended then return (age_of(chain.ended) or HANDOVER_MS) < HANDOVER_MS and chain or nil end
  local state, token = unpack(redis.call('HMGET', KEY.job_prefix .. chain.key, 'state', 'token'))
  local lease_ends = redis.call('ZSCORE', KEY.running, chain.key)
  if state ~= 'running' or token ~= chain.token or not lease_ends or tonumber(lease_ends) < now then return nil end
  return chain
end

-- Returns the milliseconds from its beginning for which a chain holds back jobs with a waiting client: while its masters
-- arrive, and as long again, which is the time that a download of their own would take.
local function window_of(chain)
  if chain.window then return tonumber(chain.window) end
  local report = redis.call('GET', KEY.progress_prefix .. chain.key)
  if not report then return WINDOW_MS end
  local arrived = cjson.decode(report).arrived
  return type(arrived) == 'number' and math.max(WINDOW_MS, 2000 * arrived) or math.huge
end

-- True if a process that has the masters open holds back the jobs of the source in this lane.
local function is_source_held(source, lane, key)
  local chain = open_chain(source)
  if not chain or chain.key == key then return false end
  if lane == 'bulk' then return chain.bulk == '1' end
  return chain.age < window_of(chain)
end

-- True if the queued job waits for the process that has its masters open.
local function is_held_back(key, lane)
  local source = source_of(key)
  if not source or redis.call('HGET', KEY.job_prefix .. key, 'alone') == '1' then return false end
  return is_source_held(source, lane, key)
end

-- Add the messages of the source's jobs that lost theirs while they were held back, unless a chain will begin them.
local function add_held_messages(source, messages)
  if open_chain(source) then return end
  for _, key in ipairs(redis.call('ZRANGE', KEY.source_prefix .. source, 0, COMPANIONS - 1)) do
    local state, lane, recipe = unpack(redis.call('HMGET', KEY.job_prefix .. key, 'state', 'lane', 'recipe'))
    if state == 'queued' and redis.call('ZREM', KEY.held_back, key) == 1 then
      messages[#messages + 1] = lane
      messages[#messages + 1] = recipe
    end
  end
end

-- The masters of the source have changed: jobs that are queued from now on are made from none that was opened before. Files
-- of frames stay open for a while: jobs that begin from now on need a new download.
local function close_chains(source, kind)
  if source == '' then return end
  local reading = KEY.reading_prefix .. source
  redis.call('DEL', reading)
  if kind ~= 'thumbnail' then return end
  redis.call('HSET', reading, 'changed', now)
  redis.call('EXPIRE', reading, CHANGE_KEPT)
end

-- Remove a job from every index. It is in those of one state at most, whatever its next state is.
local function unindex(key)
  local source, queue = unpack(redis.call('HMGET', KEY.job_prefix .. key, 'source', 'turns'))
  if source and source ~= '' then redis.call('ZREM', KEY.source_prefix .. source, key) end
  remove_turn(key, queue or '')
  redis.call('ZREM', KEY.held_back, key)
  redis.call('ZREM', KEY.queued_interactive, key)
  redis.call('ZREM', KEY.queued_bulk, key)
  redis.call('ZREM', KEY.running, key)
  redis.call('ZREM', KEY.delayed, key)
  redis.call('ZREM', KEY.failed, key)
end

-- True unless the job's state says that it is in an index, and it is not: a key was deleted, or half of them restored.
local function is_indexed(key, state, lane)
  local indexes = {queued = KEY['queued_' .. (lane or 'bulk')], running = KEY.running, delayed = KEY.delayed}
  return not indexes[state] or redis.call('ZSCORE', indexes[state], key) and true
end

-- Make sure that a queued job has a turn, or an earlier one if its client's next turn is.
local function give_turn(record, key)
  local client, queue = unpack(redis.call('HMGET', record, 'client', 'turns'))
  take_turn(key, client or '', queue or '')
end

-- Add a job to the indexes of its lane. It is in none now.
local function enter_lane(record, key, lane)
  redis.call('HDEL', record, 'token', 'message', 'expired_token', 'failure', 'refused_until', 'companion', 'turns')
  redis.call('HSET', record, 'state', 'queued', 'lane', lane, 'queued', now)
  redis.call('EXPIRE', record, UNFINISHED_KEPT)
  redis.call('ZADD', queued_in(lane), now, key)
  local client, source, origin = unpack(redis.call('HMGET', record, 'client', 'source', 'origin'))
  local turn = nil
  if lane == 'interactive' then
    if origin then redis.call('HSET', record, 'turns', origin) end
    turn = take_turn(key, client or '', origin or '')
  end
  add_to_source(source, key, turn)
end

local function enqueue(record, key, lane)
  unindex(key)
  enter_lane(record, key, lane)
end

-- Note the client that the job is queued for, and the headers of its request, for logs. Either may be empty.
local function note_client(record, client, headers)
  redis.call('HSET', record, 'client', client, 'headers', headers)
end

-- Note the queue of the turns of the job's origin. It is empty if there are not several.
local function note_origin(record, origin)
  if origin ~= '' then redis.call('HSET', record, 'origin', origin) end
end

-- Save the signed URLs of the frames of a job. They go with the job's end; a delayed job keeps them.
local function save_ticket(key, ticket)
  if ticket ~= '' then redis.call('SET', KEY.ticket_prefix .. key, ticket, 'EX', TICKET_KEPT) end
end

local function delete_ticket(key) redis.call('DEL', KEY.ticket_prefix .. key) end

-- Move all times of a sorted set back by so many milliseconds.
local function move_back(index, step)
  local found = redis.call('ZRANGE', index, 0, -1, 'WITHSCORES')
  for place = 1, #found, 2 do redis.call('ZADD', index, tonumber(found[place + 1]) - step, found[place]) end
end

-- Queue a job without attempts or history. If a job that had not ended was to replace an outdated derivative, the new
-- one is, too; and the batches that waited for it wait for the new one.
local function start(record, key, lane, recipe, source, origin, remake, client, headers)
  local state, before, batches = unpack(redis.call('HMGET', record, 'state', 'remake', 'batches'))
  if state and state ~= 'done' and before == '1' then remake = '1' end
  unindex(key)
  redis.call('DEL', record)
  redis.call('HSET', record, 'recipe', recipe, 'attempts', 0, 'asked', now, 'remake', remake)
  if source ~= '' then redis.call('HSET', record, 'source', source) end
  if client then note_client(record, client, headers) end
  if batches then redis.call('HSET', record, 'batches', batches) end
  note_origin(record, origin)
  enter_lane(record, key, lane)
end

-- Remember a failure for so many seconds. Clients are refused for refused_seconds of them, all by default.
local function remember_failure(record, key, state, failure, seconds, refused_seconds)
  unindex(key)
  note_end(record, key, state, failure)
  settle_in_batches(record, key, 'failed')
  delete_ticket(key)
  local refused_until = now + (refused_seconds or seconds) * 1000
  redis.call('HSET', record, 'state', state, 'failure', failure, 'ended', now, 'refused_until', refused_until)
  redis.call('HDEL', record, 'token', 'message', 'expired_token')
  redis.call('EXPIRE', record, seconds)
  redis.call('ZADD', KEY.failed, now + seconds * 1000, key)
  redis.call('PUBLISH', KEY.ended, key)
end

local function delay(record, key, seconds)
  unindex(key)
  redis.call('HSET', record, 'state', 'delayed')
  redis.call('HDEL', record, 'token', 'message', 'expired_token')
  redis.call('ZADD', KEY.delayed, now + seconds * 1000, key)
end

-- Add how an attempt ended to the job's history, which keeps the last ten.
local function add_history(record, what)
  local history = cjson.decode(redis.call('HGET', record, 'history') or '[]')
  history[#history + 1] = {
    at = now,
    attempt = tonumber(redis.call('HGET', record, 'attempts') or '0'),
    worker = redis.call('HGET', record, 'worker') or '',
    what = what,
  }
  while #history > 10 do table.remove(history, 1) end
  redis.call('HSET', record, 'history', cjson.encode(history))
end
