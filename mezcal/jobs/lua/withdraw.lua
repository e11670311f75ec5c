-- Take back a bulk job that nobody else wants. ARGV: key, since when it may have been asked for
-- -> 1, or 0 where it is left: it runs or has ended, somebody waits for it, it is remade after a change, or it was
--   asked for before
local state, lane, remake, asked = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane', 'remake', 'asked'))
if state ~= 'queued' and state ~= 'later' then return 0 end
if lane ~= 'bulk' or remake == '1' or tonumber(asked) < tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
unindex(ARGV[1])
redis.call('PUBLISH', KEYS[8], ARGV[1])
return 1
