-- An operator wants a failed, quarantined or put-off job tried again now, its history kept. ARGV: key, lane
-- -> {lane, recipe} whose message the caller sends, or {} where there is no such job
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'failed' and state ~= 'quarantined' and state ~= 'later' then return {} end
redis.call('HSET', KEYS[1], 'attempts', 0)
redis.call('HDEL', KEYS[1], 'started', 'ended')
enqueue(KEYS[1], ARGV[1], ARGV[2])
return {ARGV[2], redis.call('HGET', KEYS[1], 'recipe')}
