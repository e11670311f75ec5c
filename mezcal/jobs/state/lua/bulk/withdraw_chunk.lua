-- Delete a chunk that no worker holds. -> 1 if it was deleted
if redis.call('EXISTS', KEY.held) == 1 then return 0 end
redis.call('ZREM', KEY.chunks, ARG.name)
return redis.call('DEL', KEY.chunk)
