-- The process that ran the job's task is gone, and the one that started it knows.
-- ARGV: key, message, what became of it, most attempts, failure, its seconds
--   'died' (queued again, or the failure is the quarantine's), 'ended' (the failure is final), 'released' (queued
--   again, the attempt not counted)
-- -> {lane, recipe} whose message the caller sends, or {}: the job has gone on without that process
local key, how = ARGV[1], ARGV[3]
local state, message, lane, attempts = unpack(redis.call('HMGET', KEYS[1], 'state', 'message', 'lane', 'attempts'))
if state ~= 'running' or message ~= ARGV[2] then return {} end

if how == 'ended' then
  note(KEYS[1], ARGV[5])
  remember(KEYS[1], key, 'failed', ARGV[5], tonumber(ARGV[6]))
  return {}
end
note(KEYS[1], how == 'died' and 'its process died' or 'released')
if how == 'released' then
  redis.call('HINCRBY', KEYS[1], 'attempts', -1)
elseif tonumber(attempts) >= tonumber(ARGV[4]) then
  remember(KEYS[1], key, 'quarantined', ARGV[5], tonumber(ARGV[6]))
  return {}
end
enqueue(KEYS[1], key, lane)
return {lane, redis.call('HGET', KEYS[1], 'recipe')}
