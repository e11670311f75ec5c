-- Comes before every script, after clock.lua: what hooks downstream are still to be notified of. Each hook has a hash of
-- entries, and a sorted set of when they are due. An entry is a changed derivative, under its key, or an ended job, under
-- that key and ENDED.
local HOOK_KEPT = 3 * 86400    -- seconds after the last entry: those of a hook that is configured no more expire
local ENDS_MAX = 200000        -- entries of a hook, above which further ended jobs are counted and not kept
local LOST_KEPT = 30 * 86400   -- seconds for which that count is kept
local ENDED = ':job'

local function keep_hook(changes)
  redis.call('EXPIRE', changes, HOOK_KEPT)
  redis.call('EXPIRE', changes .. ':due', HOOK_KEPT)
end

-- Have a hook notified of an entry in so many milliseconds. It replaces the one with the same name, which is not sent any
-- more: what is sent of one derivative is in order.
local function put_entry(changes, name, entry, delay)
  entry.version = time[1] .. string.format('%06d', time[2])
  entry.since, entry.due, entry.attempts = now, now + delay, 0
  redis.call('HSET', changes, name, cjson.encode(entry))
  redis.call('ZADD', changes .. ':due', entry.due, name)
end

local function is_any(wanted, found)
  for _, each in ipairs(wanted) do
    if found(each) then return true end
  end
  return #wanted == 0
end

-- True if the hook, one of ARG.ends_to, is to be notified of the ends of such jobs.
local function concerns(hook, recipe, what)
  local path, profile = recipe.path or '', recipe.profile or recipe.kind
  return hook.events[what] and is_any(hook.profiles, function(name) return name == profile end)
    and is_any(hook.prefixes, function(prefix) return string.sub(path, 1, #prefix) == prefix end)
end

-- Returns those of the batches, names with a space behind each, that call a hook by this name: all if it is ''.
local function calling(name, batches)
  local found = {}
  for batch in string.gmatch(batches, '%S+') do
    if name == '' or redis.call('HGET', KEY.batch_prefix .. batch, 'callback') == name then found[#found + 1] = batch end
  end
  return found
end

-- Add the batches of an earlier end that was not sent yet.
local function with_earlier(batches, before)
  local known = {}
  for _, batch in ipairs(batches) do known[batch] = true end
  for _, batch in ipairs(before and cjson.decode(before).ended.batches or {}) do
    if not known[batch] and #batches < 50 then batches[#batches + 1] = batch end
  end
  return batches
end

-- Have the hooks of ARG.ends_to, a JSON list or '', notified that a job has ended. what is 'made', 'failed' or 'quarantined'.
-- With repeated_for, a batch, it had ended before, and only the hook that this batch calls is notified.
local function note_end(record, key, what, failure, repeated_for)
  if ARG.ends_to == '' then return end
  local text, batches = unpack(redis.call('HMGET', record, 'recipe', 'batches'))
  local recipe = cjson.decode(text)
  for _, hook in ipairs(cjson.decode(ARG.ends_to)) do
    local called = calling(hook.called, repeated_for or batches or '')
    local wanted = hook.called ~= '' and #called > 0 or hook.called == '' and not repeated_for
    if wanted and concerns(hook, recipe, what) then
      local changes, name = KEY.hook_prefix .. hook.hook, key .. ENDED
      local before = redis.call('HGET', changes, name)
      if before or redis.call('HLEN', changes) < ENDS_MAX then
        local ended = {what = what, at = now, failure = failure or '', batches = with_earlier(called, before)}
        put_entry(changes, name, {recipe = text, again = false, ended = ended}, 0)
        keep_hook(changes)
      else
        redis.call('INCR', changes .. ':lost')
        redis.call('EXPIRE', changes .. ':lost', LOST_KEPT)
      end
    end
  end
end
