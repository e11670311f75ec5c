-- Settle an item of a batch for which no job of its own is queued. ARGV: unused, batch, place, what became of it, how
--   many derivatives were there already, how many it stands for, what to list ('' is nothing)
local name = KEYS[16] .. ARGV[2]
if redis.call('EXISTS', name) == 0 or taken(ARGV[2], ARGV[3]) then return 0 end
redis.call('SETBIT', name .. ':spread', ARGV[3], 1)
redis.call('HINCRBY', name, 'items', tonumber(ARGV[6]) - 1)
redis.call('HINCRBY', name, 'beside', tonumber(ARGV[6]) - 1)
if ARGV[7] ~= '' then list(name, ':notes', ARGV[7]) end
count(name, ARGV[4], tonumber(ARGV[5]))
return 1
