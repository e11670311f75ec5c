-- Take back a bulk job that nobody else wants. ARGV: key, since when it may have been asked for
-- -> 1, or 0 where it is left: it runs or has ended, somebody waits for it, it is remade after a change, or it was
--   asked for before
local fields = redis.call('HMGET', KEYS[1], 'state', 'lane', 'remake', 'asked', 'batches')
local state, lane, remake, asked, batches = unpack(fields)
if state ~= 'queued' and state ~= 'later' then return 0 end
if lane ~= 'bulk' or remake == '1' or tonumber(asked) < tonumber(ARGV[2]) then return 0 end
if select(2, string.gsub(batches or '', '%S+', '')) > 1 then return 0 end  -- another list has it, too
tell(KEYS[1], ARGV[1], 'forgotten')
redis.call('DEL', KEYS[1])
unindex(ARGV[1])
redis.call('PUBLISH', KEYS[8], ARGV[1])
return 1
