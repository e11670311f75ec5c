-- Comes before every script, after clock.lua and hooks.lua. The interactive lane is dealt by turns, so that a client with
-- many jobs cannot hold up the others. Each queued job has the number of a turn: a client's next job gets the number after
-- that of its last one, and a client without queued jobs the number after that of the job begun last. The lowest number is
-- begun next. A job without a client is dealt with as if it were the only one of its client. The numbers begin again when
-- the lane is empty.
--
-- Many jobs may have to wait for the same thing, and are passed over then. They have a queue of their own, so that one look
-- passes over all of them: the `origin` of their masters, if there are several; the `client` that is at its limit; or the
-- `source`, whose masters another process has open. All other jobs are in the queue ''. A queue has inner queues for jobs
-- that have to wait for two things. `origin=maps/;client=5f` is the name of one that is in `origin=maps/`.
-- A job that may be begun is found in any queue. So it matters for the cost alone in which it is, and it stays there.

-- Returns the sorted set of the jobs of a queue, by their turns.
local function jobs_of(queue) return queue == '' and KEY.turns or KEY.turns .. ':' .. queue end

-- Returns the sorted set of the inner queues of a queue, by turns that are not after those of their first jobs.
local function queues_in(queue) return queue == '' and KEY.turn_queues or KEY.turn_queues .. ':' .. queue end

-- Returns the queue that an inner queue is in.
local function outer_of(queue) return string.match(queue, '^(.*);') or '' end

local function add_turn(key, queue, turn)
  redis.call('ZADD', jobs_of(queue), turn, key)
  redis.call('EXPIRE', jobs_of(queue), UNFINISHED_KEPT)
  while queue ~= '' do
    local outer = outer_of(queue)
    redis.call('ZADD', queues_in(outer), 'LT', turn, queue)
    redis.call('EXPIRE', queues_in(outer), UNFINISHED_KEPT)
    queue = outer
  end
end

-- Remove the turn of a job from its queue, and with its last job the queue. It may also have one in the queue '': workers
-- of earlier versions know no other.
local function remove_turn(key, queue)
  redis.call('ZREM', KEY.turns, key)
  if queue ~= '' then redis.call('ZREM', jobs_of(queue), key) end
  while queue ~= '' and redis.call('EXISTS', jobs_of(queue), queues_in(queue)) == 0 do
    redis.call('ZREM', queues_in(outer_of(queue)), queue)
    queue = outer_of(queue)
  end
end

-- Returns the turn of a queued job, nil if it has none.
local function turn_of(key)
  local queue = redis.call('HGET', KEY.job_prefix .. key, 'turns') or ''
  return tonumber(redis.call('ZSCORE', jobs_of(queue), key) or redis.call('ZSCORE', KEY.turns, key))
end

-- A number's fraction, the time, keeps jobs of one turn in the order of their queueing. It begins again every 71 minutes,
-- which may change the order in one turn.
local microseconds = time[1] * 1000000 + time[2]
local fraction = microseconds % 2 ^ 32 / 2 ^ 32

local function current_turn() return tonumber(redis.call('HGET', KEY.round, 'turn') or '0') end

local function next_turn(client)
  if redis.call('EXISTS', KEY.turns, KEY.turn_queues) == 0 then redis.call('DEL', KEY.clients, KEY.round) end
  local last = client ~= '' and redis.call('ZSCORE', KEY.clients, client) or 0
  return math.max(tonumber(last), current_turn()) + 1
end

-- Give the job, which is in this queue, the client's next turn, unless it has an earlier one: then another client that waits
-- for it has paid. Returns its turn.
local function take_turn(key, client, queue)
  local turn, before = next_turn(client), redis.call('ZSCORE', jobs_of(queue), key)
  if before and math.floor(tonumber(before)) <= turn then
    if queue ~= '' then add_turn(key, queue, before) end  -- Redis may have lost the entry of the queue
    return before
  end
  add_turn(key, queue, turn + fraction)
  if client ~= '' then
    redis.call('ZADD', KEY.clients, turn, client)
    redis.call('EXPIRE', KEY.clients, UNFINISHED_KEPT)
  end
  return turn + fraction
end
